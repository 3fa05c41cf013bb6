// Tells the agent the house rules before it runs.
import type { Decision, Run } from 'mercury:plugin/run-hook@0.2.0';
import { get } from 'mercury:plugin/settings@0.2.0';

export const runHook = {
  beforeRun(run: Run): Decision {
    const rules = get('rules', run.caller.space);
    return { tag: 'proceed', val: { systemPrompt: rules || undefined, environment: [] } };
  },
};
