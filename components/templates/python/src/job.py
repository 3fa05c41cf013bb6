"""Tells a space when a page on the web has changed."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import http, kv, messenger, settings
from wit_world.imports.messenger import Recipient_Space
from wit_world.imports.types import Content_Text

# plugin.toml grants it.
PAGE = "https://status.example.com/status.txt"
# The text that was there when it was looked at last.
LAST = "last"


def page() -> str:
    response = http.fetch(http.Request("GET", PAGE, [], [], http.Body_Empty(), None))
    if response.status != 200 or not isinstance(response.body, Content_Text):
        raise Err(f"{PAGE} answered {response.status}")
    return response.body.value


def look() -> None:
    text = page().encode()
    last = kv.get(LAST)
    if last == text:
        return
    if last is not None:
        # Before it is kept: what fails here is told at the next run.
        messenger.send(Recipient_Space(settings.get("space", None) or ""), f"{PAGE} has changed.")
    kv.set(LAST, text)


class Job(exports.Job):
    def run(self, name: str) -> None:
        try:
            look()
        except Err as error:
            # What the host's functions raise is their own; a job fails with a text.
            raise Err(error.value if isinstance(error.value, str) else repr(error.value))
