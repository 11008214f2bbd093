import { requirementOf } from '../policies/policy.ts';
import { countOf } from '../text/count-text.ts';
import type { PostureFinding } from './find-posture.ts';

/** Returns a finding as a sentence. */
export function describeFinding({ kind, count, policy }: PostureFinding): string {
  switch (kind) {
    case 'policy':
      return policy ? requirementOf(policy) : '';
    case 'old_secret':
      return `The secret is ${countOf(count ?? 0, 'day')} old.`;
    case 'idle':
      return `It was not used for ${countOf(count ?? 0, 'day')}.`;
    case 'unused_scope':
      return `${countOf(count ?? 0, 'scope')} not used in 30 days.`;
    case 'no_owner':
      return 'It has no owner.';
    case 'many_networks':
      return `It was used from ${countOf(count ?? 0, 'network')} in 30 days, and is limited to none.`;
    case 'secret_authentication':
      return 'It authenticates with a secret, not with a key or a certificate.';
  }
}
