import { html } from 'htm/preact';
import { NotFound } from '../../../errors.ts';
import { msg, t } from '../languages/translate.ts';
import type { Page, ShownSigningKeys } from '../page.ts';
import { confirmedAct } from '../parts/confirmed-act.ts';
import { badge, fromNow, pageHeading, table } from '../parts/elements.ts';

const tones = { current: 'ok', next: 'plain', retired: 'warn' } as const;
const statuses = { current: msg('current'), next: msg('next'), retired: msg('retired') };

/** Pages that list, rotate and revoke the keys that sign JWT access tokens. */
export const signingKeysPages: readonly Page[] = [
  {
    method: 'get',
    path: '/signing-keys',
    isForDeployment: true,
    permission: 'integrations:view',
    handle: async (visit) => {
      const { body } = await visit.call<ShownSigningKeys>('GET /signing-keys');
      const { signingKeyDays } = visit.core.config;
      const canRevoke = visit.can('api_key:manage');
      const dash = html`<span class="muted">–</span>`;
      return {
        title: t('Signing keys'),
        section: 'signing-keys',
        body: html`${pageHeading({
          title: t('Signing keys'),
          lead:
            signingKeyDays > 0
              ? t('Keys that sign JWT access tokens. They are rotated automatically every {days} days.', {
                  days: signingKeyDays,
                })
              : t('Keys that sign JWT access tokens. They are not rotated automatically.'),
          actions:
            visit.can('api_key:manage') &&
            html`<a class="button" href="/console/signing-keys/rotate">${t('Rotate…')}</a>`,
        })}
          ${table({
            caption: t('Published signing keys'),
            columns: [
              { label: t('Key') },
              { label: t('Status') },
              { label: t('Algorithm') },
              { label: t('Created') },
              { label: t('Current since') },
              { label: t('Retired') },
              ...(canRevoke ? [{ label: t('Revoke'), holdsActs: true }] : []),
            ],
            rows: body.data.map((key) => [
              html`<code>${key.kid}</code>${visit.can('audit:view') && html`<a class="under" href=${`/console/audit?target=${encodeURIComponent(key.kid)}`}>${t('History')}</a>`}`,
              badge(tones[key.status], t(statuses[key.status])),
              key.alg,
              fromNow(key.created_at, visit.now),
              key.current_since ? fromNow(key.current_since, visit.now) : dash,
              key.retired_at ? fromNow(key.retired_at, visit.now) : dash,
              ...(canRevoke
                ? [html`<a class="nowrap" href=${`/console/signing-keys/${key.kid}/revoke`}>${t('Revoke…')}</a>`]
                : []),
            ]),
          })}
        <p class="hint">
          ${t('The next key is published before it signs tokens, so that APIs know it by then. A retired key stays published until the last token that it signed has expired.')}
        </p>`,
      };
    },
  },
  ...confirmedAct({
    path: '/signing-keys/rotate',
    permission: 'api_key:manage',
    confirm: async () => ({
      title: t('Rotate the signing keys?'),
      section: 'signing-keys',
      body: html`<ul class="bullets">
        <li>${t('The next key becomes the current key and signs new tokens. A new next key is published.')}</li>
        <li>${t('Tokens that the previous key signed stay valid until they expire, so nothing fails.')}</li>
        <li>
          ${t('Do not rotate twice within five minutes. APIs cache the published keys for five minutes and would reject tokens of a key that they do not know yet.')}
        </li>
      </ul>`,
      button: t('Rotate'),
      back: { path: '/console/signing-keys', label: t('Signing keys') },
    }),
    act: async (visit) => {
      await visit.call('POST /signing-keys/rotate', { once: visit.once });
      return { seeOther: '/console/signing-keys', done: 'rotated' };
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
        title: t('Revoke this signing key?'),
        section: 'signing-keys',
        body: html`<p><code>${kid}</code>, ${t(statuses[key.status])}</p>
          <ul class="bullets">
            <li>${t('Every JWT that it signed is rejected within a second by introspection and by the resource-server library.')}</li>
            <li>${t('APIs that verify JWTs with another library reject them when they read the published keys again.')}</li>
            <li>${t('Clients must request new tokens to replace them. Opaque tokens are not affected.')}</li>
            ${key.status === 'current' && html`<li>${t('The next key becomes the current key and signs new tokens.')}</li>`}
          </ul>`,
        button: t('Revoke key'),
        back: { path: '/console/signing-keys', label: t('Signing keys') },
      };
    },
    act: async (visit) => {
      await visit.call('POST /signing-keys/{kid}/revoke', { params: { kid: visit.params['kid'] } });
      return { seeOther: '/console/signing-keys', done: 'key-revoked' };
    },
  }),
];
