// Tells a space when a page on the web has changed.
import { fetch } from 'mercury:plugin/http@0.2.0';
import { get, set } from 'mercury:plugin/kv@0.2.0';
import { send } from 'mercury:plugin/messenger@0.2.0';
import { get as setting } from 'mercury:plugin/settings@0.2.0';

/** plugin.toml grants it. */
const PAGE = 'https://status.example.com/status.txt';
/** The text that was there when it was looked at last. */
const LAST = 'last';

function page(): string {
  const { status, body } = fetch({ method: 'GET', uri: PAGE, headers: [], credentials: [], body: { tag: 'empty' } });
  if (status !== 200 || body.tag !== 'text') throw `${PAGE} answered ${status}`;
  return body.val;
}

/** Text as `kv` keeps it. */
function utf8(text: string): Uint8Array {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (byte) => byte.charCodeAt(0));
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

function look(): void {
  const text = utf8(page());
  const last = get(LAST);
  if (last != null && same(last, text)) return;
  // Before it is kept: what fails here is told at the next run.
  if (last != null) send({ tag: 'space', val: setting('space', undefined) ?? '' }, `${PAGE} has changed.`);
  set(LAST, text);
}

export const job = {
  run(_name: string): void {
    try {
      look();
    } catch (error) {
      // What the host's functions throw is their own; a job fails with a text.
      throw typeof error === 'string' || error instanceof Error ? error : JSON.stringify(error);
    }
  },
};
