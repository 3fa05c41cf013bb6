// The component's export: reads the setting, cuts the tables, makes the files.
import { shorten } from './tables.js';
import { write } from 'mercury:plugin/log@0.2.0';
import { create, type Media } from 'mercury:plugin/media@0.2.0';
import type { Outcome, RunResult } from 'mercury:plugin/result-processor@0.2.0';
import { get } from 'mercury:plugin/settings@0.2.0';

export const resultProcessor = {
  process(result: RunResult): Outcome {
    const unchanged: Outcome = { tag: 'deliver', val: { reply: result.reply, attachments: result.attachments } };
    if (result.failure != null) return unchanged;
    const rows = Number(get('rows', result.caller.space));
    const { text, files } = shorten(result.reply, Number.isInteger(rows) && rows >= 1 && rows <= 1000 ? rows : 15);
    const made: Media[] = [];
    for (const { name, csv } of files) {
      try {
        made.push(create('document', 'text/csv', name, utf8(csv)));
      } catch (error) {
        // A whole reply is better than a short one without its file.
        write('warn', `${name} cannot be made: ${JSON.stringify(error)}`);
        return unchanged;
      }
    }
    return { tag: 'deliver', val: { reply: text, attachments: [...result.attachments, ...made] } };
  },
};

/** QuickJS has no TextEncoder. */
function utf8(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    let code = character.codePointAt(0) ?? 0;
    if (code >= 0xd800 && code < 0xe000) code = 0xfffd;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  }
  return Uint8Array.from(bytes);
}
