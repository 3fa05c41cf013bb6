// Signs the assistant's replies.
import type { Outcome, RunResult } from 'mercury:plugin/result-processor@0.2.0';
import { get } from 'mercury:plugin/settings@0.2.0';

/** The rule itself, which needs no host. Only an answer is signed, not the news of a failure. */
export function sign(reply: string, failed: boolean, signature: string): string {
  return failed || signature === '' ? reply : `${reply}\n\n— ${signature}`;
}

export const resultProcessor = {
  process(result: RunResult): Outcome {
    const signature = get('signature', result.caller.space) ?? '';
    const reply = sign(result.reply, result.failure != null, signature);
    return { tag: 'deliver', val: { reply, attachments: result.attachments } };
  },
};
