// Counts words for the agent: mrctl capability {{name}} count '{"text": "…"}'
import type { Answer, Failure } from 'mercury:plugin/broker@0.2.0';
import type { Caller } from 'mercury:plugin/types@0.2.0';

export function count(text: string): { words: number; characters: number } {
  return { words: text.split(/\s+/u).filter((word) => word !== '').length, characters: [...text].length };
}

export const broker = {
  invoke(_caller: Caller, action: string, args: string): Answer {
    if (action !== 'count') {
      const message = `there is no action ${action}`;
      throw { status: 404, code: 'unknown-action', message, retryable: false } satisfies Failure;
    }
    // The host has checked the arguments against the schema in plugin.toml.
    const { text } = JSON.parse(args) as { text: string };
    return { output: JSON.stringify(count(text)), files: [] };
  },
};
