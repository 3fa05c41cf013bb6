// Keeps some tools for admins.
import { get } from 'mercury:plugin/settings@0.2.0';
import type { Caller } from 'mercury:plugin/types@0.2.0';
import type { Verdict } from 'mercury:plugin/verdicts@0.2.0';

/** The rule itself, which needs no host. */
export function judge(role: string, tool: string, adminTools: string): Verdict {
  const names = adminTools.split(',').map((name) => name.trim());
  if (role !== 'admin' && names.includes(tool)) return { tag: 'deny', val: `${tool} is for admins` };
  return { tag: 'allow' };
}

export const toolGuard = {
  check(caller: Caller, tool: string, _arguments: string): Verdict {
    return judge(caller.role, tool, get('admin-tools', caller.space) ?? '');
  },
};
