import { requirementOf } from '../policies/policy.ts';
import { countOf } from '../text/count-text.ts';
import type { AttentionItem } from './attention-item.ts';

/** Returns what needs attention as a sentence, without its time. */
export function describeAttention(item: AttentionItem): string {
  const { kind, sourceCount, movedCount, requests, subject, parked, requester, policy } = item;
  const credential = subject.type === 'client' ? 'credential' : 'value';
  const sources = countOf(sourceCount, 'source');
  switch (kind) {
    case 'refused_credential':
      return `${countOf(requests, 'request')} of ${sources} rejected, because the ${credential} has ended.`;
    case 'grace_period_ending':
      return `${movedCount === 0 ? 'No source has' : `${movedCount} of ${(movedCount ?? 0) + sourceCount} sources have`} moved to the new ${credential}. ${sourceCount === 1 ? '1 source fails' : `${sourceCount} sources fail`} when the grace period ends.`;
    case 'grace_period_complete':
      return movedCount === 0
        ? `The previous ${credential} is not used. The grace period can end.`
        : `All sources have moved to the new ${credential}. The grace period can end.`;
    case 'resource_server_disabled':
      return 'The resource server is disabled, so its requests to check tokens are rejected.';
    case 'resource_server_silent':
      return 'The resource server has not checked a token for a week. It may be unreachable.';
    case 'break_glass_used':
      return 'This operator token for emergencies was used.';
    case 'approval_pending':
      return `${requester} requests the approval of a second person.`;
    case 'webhook_disabled':
      return `The webhook was disabled, because nothing could be delivered to it. ${item.lastFailure ?? ''}`.trim();
    case 'audit_stream_late':
      return 'This receiver of the audit log has not accepted the latest events.';
    case 'notice_parked':
      return `The notice could not be delivered to ${parked?.receiver}: ${parked?.reason}`;
    case 'certificate_expiring':
      return 'The registered certificate expires, and no other one is registered.';
    case 'access_key_expiring':
      return 'The access key expires.';
    case 'policy_violated':
      return policy ? requirementOf(policy) : 'A policy is violated.';
    case 'unused_client':
      return 'The integration was not used for 90 days.';
    case 'unused_access_key':
      return 'The access key was not used for 90 days.';
  }
}

/** Returns the one thing to do next, as a sentence. */
export function nextStepOf({ kind, subject }: AttentionItem): string {
  const credential = subject.type === 'client' ? 'credential' : 'value';
  switch (kind) {
    case 'refused_credential':
      return `Give these sources the current ${credential}.`;
    case 'grace_period_ending':
      return 'Extend the grace period, or move the sources.';
    case 'grace_period_complete':
      return 'End the grace period.';
    case 'resource_server_disabled':
      return 'Enable the resource server.';
    case 'resource_server_silent':
      return 'Check that the API can reach Keyturn.';
    case 'break_glass_used':
      return 'Check what it was used for in the audit log, then acknowledge the use.';
    case 'approval_pending':
      return 'Approve or refuse the request.';
    case 'webhook_disabled':
      return 'Repair the receiver, enable the webhook, and deliver the events of the meantime again.';
    case 'audit_stream_late':
      return 'Check the receiver. The log of the server says why it fails.';
    case 'notice_parked':
      return 'Correct the cause, then try again.';
    case 'certificate_expiring':
      return 'Replace the certificate.';
    case 'access_key_expiring':
      return 'Set a later end, or replace the key.';
    case 'policy_violated':
      return 'Meet the policy, or change it.';
    case 'unused_client':
      return 'Disable the integration.';
    case 'unused_access_key':
      return 'Disable the access key.';
  }
}
