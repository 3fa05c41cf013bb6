// Connects a chat platform: it posts messages to /webhooks/{{name}}, and answers go to its API.
import type { Delivered, OutboundMessage, Platform } from 'mercury:plugin/chat-adapter@0.2.0';
import { matches } from 'mercury:plugin/credentials@0.2.0';
import type { DeliveryFailure } from 'mercury:plugin/deliveries@0.2.0';
import { fetch, type Response as HttpResponse } from 'mercury:plugin/http@0.2.0';
import { accept, type Event } from 'mercury:plugin/inbox@0.2.0';
import type { Request, Response } from 'mercury:plugin/webhook@0.2.0';

/** The prefix of every identifier; the same as in plugin.toml. */
const PLATFORM = '{{name}}';
const MESSAGES = 'https://chat.example.com/messages';

/** A message as the platform sends it. */
interface Incoming {
  id: string;
  conversation: string;
  author: string;
  text: string;
  /** Milliseconds since the Unix epoch. */
  at: number;
}

function read(text: string): Incoming | undefined {
  try {
    const value = JSON.parse(text) as Incoming;
    const texts = [value.id, value.conversation, value.author, value.text];
    return texts.every((text) => typeof text === 'string') && Number.isSafeInteger(value.at) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** In the host's words. */
function event(incoming: Incoming): Event {
  return {
    id: incoming.id,
    happening: {
      tag: 'message',
      val: {
        messageId: incoming.id,
        conversation: { id: `${PLATFORM}:${incoming.conversation}`, kind: 'direct' },
        author: { id: `${PLATFORM}:${incoming.author}` },
        fromBot: false,
        text: incoming.text,
        mentionsBot: false,
        attachments: [],
        missing: [],
        sentAt: incoming.at,
      },
    },
  };
}

function failure(tag: 'transient' | 'permanent', message: string): DeliveryFailure {
  return { kind: { tag }, message };
}

function send(body: string): HttpResponse {
  try {
    return fetch({
      method: 'POST',
      uri: MESSAGES,
      headers: [['content-type', 'application/json']],
      // The host puts the secret in: it never enters this component.
      credentials: [{ secret: 'token', place: { tag: 'bearer' } }],
      body: { tag: 'content', val: { tag: 'text', val: body } },
    });
  } catch (error) {
    throw failure('transient', (error as { message: string }).message);
  }
}

export const chatAdapter = {
  describe(): Platform {
    return { name: PLATFORM, displayName: PLATFORM, features: {}, silenceLimitMs: 0 };
  },

  start(): void {},

  deliver(message: OutboundMessage): Delivered {
    const [platform, ...rest] = message.conversation.split(':');
    if (platform !== PLATFORM) throw failure('permanent', 'not a conversation of this platform');
    const { status, body } = send(JSON.stringify({ conversation: rest.join(':'), text: message.text }));
    if (status === 429 || status >= 500) throw failure('transient', `the platform answered ${status}`);
    if (status !== 200 || body.tag !== 'text') throw failure('permanent', `the platform answered ${status}`);
    return { messageIds: [(JSON.parse(body.val) as { id: string }).id] };
  },

  stop(): void {},
};

export const webhook = {
  handle(request: Request): Response {
    const answer = (status: number, verified: boolean): Response => ({
      status,
      headers: [],
      body: { tag: 'text', val: '' },
      verified,
    });
    const token = request.headers.find(([name]) => name === 'x-token')?.[1] ?? '';
    try {
      if (!matches('webhook-token', token)) return answer(401, false);
    } catch {
      return answer(401, false);
    }
    const incoming = read(request.textBody ?? '');
    if (incoming === undefined) return answer(400, true);
    // On the disk when this returns, so the platform may forget it.
    try {
      accept([event(incoming)], undefined);
    } catch {
      return answer(503, true);
    }
    return answer(200, true);
  },
};
