"""Connects a chat platform: it posts messages to /webhooks/{{name}}, and answers go to its API."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.chat_adapter import Delivered, Features, OutboundMessage, Platform
from wit_world.exports.webhook import Request, Response
from wit_world.imports import credentials, http, inbox
from wit_world.imports.credentials import Credential, Place_Bearer
from wit_world.imports.deliveries import (
    DeliveryFailure,
    FailureKind_Permanent,
    FailureKind_Transient,
)
from wit_world.imports.inbox import Conversation, Event, Happening_Message, Message
from wit_world.imports.types import Content_Text, ConversationKind, Person

# The prefix of every identifier; the same as in plugin.toml.
PLATFORM = "{{name}}"
MESSAGES = "https://chat.example.com/messages"


def event(incoming: dict) -> Event:
    """A message as the platform sends it, in the host's words."""
    return Event(
        id=incoming["id"],
        happening=Happening_Message(
            Message(
                message_id=incoming["id"],
                conversation=Conversation(
                    id=f"{PLATFORM}:{incoming['conversation']}",
                    kind=ConversationKind.DIRECT,
                    title=None,
                    thread=None,
                    address=None,
                ),
                author=Person(id=f"{PLATFORM}:{incoming['author']}", display_name=None),
                from_bot=False,
                text=incoming["text"],
                mentions_bot=False,
                quoted=None,
                attachments=[],
                missing=[],
                answer=None,
                sent_at=incoming["at"],
            )
        ),
    )


def permanent(message: str) -> Err:
    return Err(DeliveryFailure(FailureKind_Permanent(), message, None))


def transient(message: str) -> Err:
    return Err(DeliveryFailure(FailureKind_Transient(), message, None))


class ChatAdapter(exports.ChatAdapter):
    def describe(self) -> Platform:
        return Platform(PLATFORM, PLATFORM, Features(0), 0)

    def start(self) -> None:
        pass

    def deliver(self, message: OutboundMessage) -> Delivered:
        platform, _, conversation = message.conversation.partition(":")
        if platform != PLATFORM:
            raise permanent("not a conversation of this platform")
        body = {"conversation": conversation, "text": message.text}
        request = http.Request(
            method="POST",
            uri=MESSAGES,
            headers=[("content-type", "application/json")],
            # The host puts the secret in: it never enters this component.
            credentials=[Credential("token", Place_Bearer())],
            body=http.Body_Content(Content_Text(json.dumps(body, ensure_ascii=False, separators=(",", ":")))),
            timeout_ms=None,
        )
        try:
            response = http.fetch(request)
        except Err as error:
            raise transient(error.value.message)
        if response.status == 429 or response.status >= 500:
            raise transient(f"the platform answered {response.status}")
        if response.status != 200 or not isinstance(response.body, Content_Text):
            raise permanent(f"the platform answered {response.status}")
        return Delivered([json.loads(response.body.value)["id"]], None)

    def stop(self) -> None:
        pass


class Webhook(exports.Webhook):
    def handle(self, request: Request) -> Response:
        def answer(status: int, verified: bool) -> Response:
            return Response(status, [], Content_Text(""), verified)

        token = dict(request.headers).get("x-token", "")
        try:
            if not credentials.matches("webhook-token", token):
                return answer(401, False)
        except Err:
            return answer(401, False)
        try:
            incoming = event(json.loads(request.text_body or ""))
        except (ValueError, KeyError, TypeError):
            return answer(400, True)
        # On the disk when this returns, so the platform may forget it.
        try:
            inbox.accept([incoming], None)
        except Err:
            return answer(503, True)
        return answer(200, True)
