import { html } from 'htm/preact';
import { NotFound } from '../../../errors.ts';
import type { Page } from '../page.ts';
import { confirmedAct } from '../parts/confirmed-act.ts';
import { badge, pageHeading } from '../parts/elements.ts';
import { fromNow } from '../parts/moment.ts';
import { doneNotice } from '../parts/notices.ts';
import { table } from '../parts/table.ts';
import type { ShownSigningKeys } from '../shown.ts';

const tones = { current: 'ok', next: 'plain', retired: 'warn' } as const;

/** Pages that list, rotate and revoke the keys that sign JWT access tokens. */
export const signingKeysPages: readonly Page[] = [
  {
    method: 'get',
    path: '/signing-keys',
    permission: 'integrations:view',
    handle: async (visit) => {
      const { body } = await visit.call<ShownSigningKeys>('GET /signing-keys');
      const { signingKeyDays } = visit.core.config;
      const canRevoke = visit.can('api_key:manage');
      const dash = html`<span class="muted">–</span>`;
      return {
        title: 'Signing keys',
        section: 'signing-keys',
        body: html`${pageHeading({
          title: 'Signing keys',
          lead:
            signingKeyDays > 0
              ? `What JWT access tokens are signed with. They rotate by themselves every ${signingKeyDays} days.`
              : 'What JWT access tokens are signed with. They do not rotate by themselves.',
          actions:
            visit.can('api_key:manage') && html`<a class="button" href="/console/signing-keys/rotate">Rotate…</a>`,
        })}
        ${doneNotice(visit.query)}
        ${table({
          caption: 'Published signing keys',
          columns: [
            { label: 'Key' },
            { label: 'State' },
            { label: 'Algorithm' },
            { label: 'Created' },
            { label: 'Signs since' },
            { label: 'Retired' },
            ...(canRevoke ? [{ label: 'Revoke' }] : []),
          ],
          rows: body.data.map((key) => [
            html`<code>${key.kid}</code>`,
            badge(tones[key.status], key.status),
            key.alg,
            fromNow(key.created_at, visit.now),
            key.current_since ? fromNow(key.current_since, visit.now) : dash,
            key.retired_at ? fromNow(key.retired_at, visit.now) : dash,
            ...(canRevoke ? [html`<a href=${`/console/signing-keys/${key.kid}/revoke`}>Revoke…</a>`] : []),
          ]),
        })}
        <p class="hint">
          The next one is published before it signs, so that whoever checks tokens has read it by then. A retired one stays published until the last token that it signed has ended.
        </p>`,
      };
    },
  },
  ...confirmedAct({
    path: '/signing-keys/rotate',
    permission: 'api_key:manage',
    confirm: async () => ({
      title: 'Rotate the signing keys?',
      section: 'signing-keys',
      body: html`<ul class="bullets">
        <li>The next key signs from now on, and a new next one is published.</li>
        <li>Tokens of the one before stay good until they end. Nothing breaks.</li>
        <li>
          Twice within a few minutes lets a key sign that those who check tokens may not have read yet: they keep what they have read for five minutes.
        </li>
      </ul>`,
      button: 'Rotate',
      back: { path: '/console/signing-keys', label: 'Signing keys' },
    }),
    act: async (visit) => {
      await visit.call('POST /signing-keys/rotate', { once: visit.once });
      return { seeOther: '/console/signing-keys?done=rotated' };
    },
  }),
  ...confirmedAct({
    path: '/signing-keys/:kid/revoke',
    permission: 'api_key:manage',
    confirm: async (visit) => {
      const kid = visit.params['kid'] ?? '';
      const { body } = await visit.call<ShownSigningKeys>('GET /signing-keys');
      const key = body.data.find((one) => one.kid === kid);
      if (!key) throw new NotFound('signing key');
      return {
        title: 'Revoke this signing key?',
        section: 'signing-keys',
        body: html`<p><code>${kid}</code>, ${key.status}</p>
          <ul class="bullets">
            <li>Every JWT that it signed is refused within a second by introspection and by the resource-server library.</li>
            <li>APIs that verify JWTs with another library refuse them once they read the published keys again.</li>
            <li>Clients with such tokens must get new ones. Opaque tokens are not affected.</li>
            ${key.status === 'current' && html`<li>The next key signs from now on.</li>`}
          </ul>`,
        button: 'Revoke key',
        back: { path: '/console/signing-keys', label: 'Signing keys' },
      };
    },
    act: async (visit) => {
      await visit.call('POST /signing-keys/{kid}/revoke', { params: { kid: visit.params['kid'] } });
      return { seeOther: '/console/signing-keys?done=key-revoked' };
    },
  }),
];
