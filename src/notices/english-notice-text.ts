import { countOf } from '../text/count-text.ts';
import type { Notice, NoticeTexts, Reminder } from './notice.ts';

const remaining: Readonly<Record<Reminder, string>> = {
  halfway: 'is half over',
  '30_days': 'ends in 30 days',
  '14_days': 'ends in 14 days',
  '7_days': 'ends in 7 days',
  '3_days': 'ends in 3 days',
  '1_day': 'ends in 1 day',
  '1_hour': 'ends in 1 hour',
};

const leaks = {
  client_secret: 'A client secret',
  access_key: 'An access key',
  access_token: 'An access token',
  operator_token: 'An operator token',
} as const;

const nouns = {
  client: 'client',
  access_key: 'access key',
  contact: 'contact',
  organization: 'organization',
  signing_key: 'signing key',
  webhook: 'webhook',
  deleted_contact: 'deleted contact',
  root_key: 'root key',
} as const;

function thing({ subject, data }: Notice): string {
  return data.contact_name === undefined ? subject.name : `${subject.name} (${data.contact_name})`;
}

/** Says which sources have not moved. */
function progress({ data: { source_count: left = 0, moved_count: moved = 0 } }: Notice): string {
  if (left === 0 && moved === 0) return 'No source uses the previous credential.';
  if (left === 0) return `All ${countOf(moved, 'source')} have moved to the new credential.`;
  const all = moved + left;
  return `${moved} of ${countOf(all, 'source')} ${moved === 1 ? 'has' : 'have'} moved to the new credential; ${left} ${left === 1 ? 'has' : 'have'} not.`;
}

const changes = ({ data: { added = [], removed = [] } }: Notice) =>
  [added.length > 0 ? `Added: ${added.join(', ')}.` : '', removed.length > 0 ? `Removed: ${removed.join(', ')}.` : '']
    .filter(Boolean)
    .join(' ');

export const english: { texts: NoticeTexts; thing: typeof thing } = {
  thing,
  texts: {
    grace_period_began: (notice, of, time) => ({
      title: `${of}: the credential was rotated, and the grace period began`,
      message: `${notice.data.by} rotated the credential. The previous one works until ${time(notice.data.ends_at)}. ${progress(notice)}`,
      step: 'Give every program the new credential before the grace period ends.',
    }),
    grace_period_reminder: (notice, of, time) => ({
      title: `${of}: the grace period ${remaining[notice.data.reminder ?? 'halfway']}`,
      message: `The previous credential is rejected from ${time(notice.data.ends_at)}. ${progress(notice)}`,
      step:
        notice.data.source_count === 0
          ? 'The grace period can be ended now.'
          : 'Move the sources that are listed, or extend the grace period.',
    }),
    grace_period_ended: (notice, of, time) => ({
      title: `${of}: the grace period ended`,
      message: `The previous credential is rejected since ${time(notice.data.ends_at)}. ${progress(notice)}`,
      step: notice.data.source_count === 0 ? null : 'Give the sources that are listed the current credential.',
    }),
    grace_period_undone: ({ data }, of) => ({
      title: `${of}: the rotation was undone`,
      message: `${data.by} undid the rotation. The previous credential is the current one again, and the new one is rejected.`,
      step: 'Give programs that already have the new credential the previous one.',
    }),
    retired_credential_used: ({ data: { requests = 0, day, source_count: sources = 0 } }, of) => ({
      title: `${of}: an ended credential is still used`,
      message: `${countOf(requests, 'request')}${day === undefined ? ` of ${countOf(sources, 'source')}` : ` on ${day}`} ${requests === 1 ? 'was' : 'were'} rejected, because the credential has ended.`,
      step: 'Give these sources the current credential. If you do not know them, the credential may have leaked.',
    }),
    credential_expiring: ({ data }, of, time) => ({
      title: `${of}: the ${data.credential === 'certificate' ? 'certificate' : 'access key'} expires in ${countOf(data.days_left ?? 0, 'day')}`,
      message: `Requests with it are rejected from ${time(data.ends_at)}.`,
      step: data.credential === 'certificate' ? 'Replace the certificate.' : 'Set a later end, or replace the key.',
    }),
    credential_expired: ({ data }, of, time) => ({
      title: `${of}: the ${data.credential === 'certificate' ? 'certificate' : 'access key'} has expired`,
      message: `Requests with it are rejected since ${time(data.ends_at)}.`,
      step: data.credential === 'certificate' ? 'Replace the certificate.' : 'Set a later end, or replace the key.',
    }),
    credential_unused: ({ data }, of, time) => ({
      title: `${of}: not used for 90 days`,
      message: data.last_used_at ? `It was last used on ${time(data.last_used_at)}.` : 'It was never used.',
      step: 'Disable it, if it is not needed.',
    }),
    new_network: ({ data }, of) => ({
      title: `${of}: first use from the network ${data.network}`,
      message: 'The credential was used from a network from which it was not used before.',
      step: 'If you do not know this network, rotate the credential and revoke its tokens.',
    }),
    handover_code_sent: ({ data }, of) => ({
      title: `${of}: a code for a hand-over was sent`,
      message: `${data.by} asked for the code by e-mail, to open the link that shows a new secret.`,
      step: null,
    }),
    leak_reported: ({ data }, of) => ({
      title: `${of}: a credential has leaked`,
      message: `${leaks[data.leaked ?? 'client_secret']}${data.hint ? ` that ends with ${data.hint}` : ''} was found in a text${data.still_valid ? `. It still works. ${data.by} searched the text.` : `, and ${data.by} revoked it.`}`,
      step: data.still_valid
        ? 'Rotate it without a grace period, and revoke its tokens.'
        : 'Find out where it was published. Programs that use it need a new one.',
    }),
    permissions_changed: (notice, of) => ({
      title: `${of}: the permissions of the ${nouns[notice.subject.type]} were changed`,
      message: `${notice.data.by} changed them. ${changes(notice)}`,
      step: 'Tell an operator if you did not expect this.',
    }),
    operator_token_issued: ({ data }, of) => ({
      title: `${of}: an operator token was issued`,
      message: `${data.by} issued an operator token that ends with ${data.hint}. Its holder acts with the permissions of ${of}.`,
      step: 'Revoke it if you did not expect this.',
    }),
    portal_link_requested: ({ data }, of, time) => ({
      title: `${of}: a sign-in link for the portal was requested`,
      message: `A link that signs in as ${of} is sent by e-mail. It works once, until ${time(data.ends_at)}, in the browser that requested it.`,
      step: null,
    }),
    signing_key_rotated: ({ data }) => ({
      title: 'The signing key was rotated',
      message: `${data.by} rotated the key that signs JWT access tokens. Issued tokens stay valid.`,
      step: null,
    }),
    webhook_disabled: ({ data }, what) => ({
      title: `The webhook “${what}” was disabled`,
      message: `Nothing could be delivered to it. ${data.last_failure ?? ''}`.trim(),
      step: 'Repair the receiver, enable the webhook, and deliver the events of the meantime again.',
    }),
    invited: ({ data: { by, ends_at: end } }, of, time) => ({
      title: `${of}: ${by} invites you`,
      message: `${by} invites you to Keyturn. The link signs you in once, until ${time(end)}.`,
      step: 'Open the link, and choose how you sign in next time. If you do not know the sender, ignore this mail.',
    }),
    approval_requested: ({ data: { by, approval } }, of) => ({
      title: `${of}: ${by} requests your approval`,
      message: `${by} wants to ${acts[approval?.act ?? '']}.${approval?.reason ? ` The reason: ${approval.reason}` : ''}`,
      step: 'Approve or refuse the request on the page “Approvals”, or with `keyturn approvals`.',
    }),
    approval_decided: ({ data: { by, approval } }, of) => ({
      title: `${of}: your request ${approval?.state === 'expired' ? 'has expired' : `was ${approval?.state}`}`,
      message: `${approval?.state === 'expired' ? 'Nobody decided on it, or it was not carried out, in time' : `${by} has decided`}.${approval?.note ? ` The note: ${approval.note}` : ''}`,
      step: approval?.state === 'approved' ? 'Carry it out within 24 hours.' : null,
    }),
    approval_bypassed: ({ data: { by, act } }, of) => ({
      title: `${of}: an act went through without approval`,
      message: `${by} was able to ${acts[act ?? '']} without the approval of a second person.`,
      step: 'Find out why in the audit log.',
    }),
    root_key_old: ({ data, subject }) => ({
      title: `The root key is ${countOf(data.age_days ?? 0, 'day')} old`,
      message: `Version ${subject.id} of the root key has been in use for more than a year.`,
      step: 'Rotate it with `keyturn root-key rotate`.',
    }),
  },
};

/** The requested acts that need approval, in words. */
const acts: Readonly<Record<string, string>> = {
  reveal: 'show the secret again',
  revoke_all: 'revoke all tokens',
  delete: 'delete it',
  erase: 'erase personal values in the audit log',
  root_key: 'rotate the root key',
  policies: 'change the policies',
};
