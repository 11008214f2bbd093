import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { rich, t } from '../../languages/translate.ts';
import {
  type Listed,
  type Page,
  type Section,
  type ShownAccessKey,
  type ShownAuthorizationToken,
  type ShownClient,
  type ShownRegeneration,
  type ShownUsage,
  unlessMissing,
  type Visit,
} from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { detailsCard } from '../../parts/detail-facts.ts';
import { ownerOf } from '../../parts/detail-fields.ts';
import {
  badge,
  copyable,
  facts,
  fromNow,
  lastUse,
  pageHeading,
  statusBadges,
  table,
  timeLeft,
} from '../../parts/elements.ts';
import { historySection } from '../../parts/event-sentence.ts';
import { postForm } from '../../parts/forms.ts';
import { type NamedScope, scopesInWords } from '../../parts/named-scopes.ts';
import { notice } from '../../parts/notices.ts';
import { type Facts, organizationFact } from '../../parts/organization-fact.ts';
import { shownHours, usageSection } from '../../parts/usage-section.ts';
import { keysOfClientTable } from '../access-keys/access-key-parts.ts';
import { handoverSection } from '../regeneration/handover-pages.ts';
import { keyName, regenerationSection } from '../regeneration/regeneration-parts.ts';
import { readOffers } from './client-form.ts';
import { accessKeyUse, credentialActs, methodLabel, nounOf } from './client-proof.ts';
import { declaredScopeList, type ShownScopeUsage } from './declared-scope-fields.ts';

/** Page of one client (an integration or a resource server): credentials, usage, regenerations and actions. */
export const clientPage: Page = {
  method: 'get',
  path: '/clients/:client_id',
  permission: 'integrations:view',
  handle: async (visit) => {
    const params = { client_id: visit.params['client_id'] };
    const { body: client } = await visit.call<ShownClient>('GET /clients/{client_id}', { params });
    const isIntegration = client.kind === 'integration';
    const query = { hours: shownHours(visit) };
    const [usage, regenerations, token, owner, organization, keys, offered, scopes] = await Promise.all([
      visit.call<ShownUsage>('GET /clients/{client_id}/usage', { params, query }),
      visit.call<Listed<ShownRegeneration>>('GET /clients/{client_id}/regenerations', {
        params,
        query: { limit: '5' },
      }),
      isIntegration
        ? unlessMissing(visit.call<ShownAuthorizationToken>('GET /clients/{client_id}/authorization-token', { params }))
        : undefined,
      ownerOf(visit, client),
      organizationFact(visit, client),
      isIntegration
        ? visit.call<Listed<ShownAccessKey>>('GET /access-keys', { query: { ...params, limit: '10' } })
        : undefined,
      readOffers(visit),
      isIntegration ? undefined : visit.call<ShownScopeUsage>('GET /clients/{client_id}/scope-usage', { params }),
    ]);
    const declared = (offered ?? []).flatMap(({ scopes }) => scopes);
    const at = clientPath(client.client_id);
    const subject = { at, client, mayAct: visit.can('api_key:manage') };
    return {
      title: client.name,
      section: sectionOf(client),
      body: html`${pageHeading({
        title: client.name,
        lead: statusBadges(client, visit.now),
        back: isIntegration
          ? { path: '/console/integrations', label: t('Integrations') }
          : { path: '/console/resource-servers', label: t('Resource servers') },
        actions: visit.can('integrations:edit') && html`<a class="button" href=${`${at}/edit`}>${t('Edit')}</a>`,
      })}
      <div class="grid two">
        ${credentials(visit, client, at)} ${isIntegration ? authorizationToken(visit, client, at, token?.body, declared) : offers(client, scopes?.body)}
      </div>
      ${regenerationSection(visit, subject, regenerations.body.data)}
      ${await handoverSection(visit, { ...subject, route: '/clients/{client_id}', params: { client_id: client.client_id } })}
      ${usageSection(visit, usage.body, regenerations.body.data)}
      ${keys && accessKeys(visit, client, keys.body)}
      <div class="grid two">${isIntegration && grants(client, organization, declared)} ${await detailsCard(visit, client, owner)}</div>
      ${await historySection(visit, client.client_id)} ${danger(visit, client, at)}`,
    };
  },
};

/** Returns the navigation section that a client's pages belong to. */
export function sectionOf({ kind }: Pick<ShownClient, 'kind'>): Section {
  return kind === 'integration' ? 'integrations' : 'resource-servers';
}

function credentials(visit: Visit, client: ShownClient, at: string): VNode {
  const mayManage = visit.can('api_key:manage');
  const hasSecrets = client.secrets.length > 0;
  return html`<section class="card" aria-labelledby="credentials">
    <h2 id="credentials">${t('Credentials')}</h2>
    ${copyable({ id: 'client-id', label: t('Client ID'), value: client.client_id })}
    ${
      hasSecrets
        ? table({
            caption: t('Secrets'),
            columns: [
              { label: t('Secret') },
              { label: t('Status') },
              { label: t('Last used') },
              { label: t('Expires') },
            ],
            rows: client.secrets.map((secret) => [
              html`<code>${secret.hint}</code>${secret.client_id !== client.client_id && html`<span class="under">${rich('for Client ID <code>{clientId}</code>', { clientId: secret.client_id })}</span>`}`,
              html`${secret.status === 'current' ? badge('ok', t('current')) : badge('warn', t('previous'))} ${
                secret.awaits_first_use && badge('warn', t('awaits first use'))
              }`,
              lastUse(secret.last_used_at, visit.now),
              secret.retires_at
                ? fromNow(secret.retires_at, visit.now)
                : html`<span class="muted">${t('never')}</span>`,
            ]),
          })
        : html`<p class="muted">${t('This client has no secret. It authenticates with its own {noun}.', { noun: nounOf(client.auth_method) })}</p>`
    }
    ${
      client.secrets.some((secret) => secret.awaits_first_use) &&
      html`<p class="hint">${t('Only a hash of the imported secret is stored. When the integration first uses the secret, it is verified and stored like every other one.')}</p>`
    }
    ${keys(visit, client)}
    ${mayManage && credentialActs(visit, client, at)}
    ${!client.reveal && hasSecrets && html`<p class="hint">${t('No copy of the secret is stored, so it cannot be shown again.')}</p>`}
  </section>`;
}

const keyStatus = {
  current: () => badge('ok', t('current')),
  retiring: () => badge('warn', t('previous')),
  left: () => badge('warn', t('no longer published')),
  ended: () => badge('plain', t('ended')),
};

/** Renders the keys and certificates of a client, and warns of a program that signs with one that left its set. */
function keys(visit: Visit, client: ShownClient): VNode | null {
  if (client.keys.length === 0) return null;
  const left = client.keys.filter((key) => key.used_after_leaving_at !== null);
  return html`${left.map((key) =>
    notice(
      'warn',
      html`<p>
        ${rich('<strong>A program still signs with the key <code>{key}</code></strong>, which is no longer published. It was last rejected {at}.', { key: key.kid ?? key.thumbprint, at: fromNow(key.used_after_leaving_at ?? '', visit.now) })}
      </p>`,
    ),
  )}
  ${table({
    caption: t('Keys and certificates'),
    columns: [
      { label: t('Key') },
      { label: t('Status') },
      { label: t('Published') },
      { label: t('First used') },
      { label: t('Last used') },
    ],
    rows: client.keys.map((key) => [
      keyName(key),
      keyStatus[key.status](),
      key.published_at
        ? html`${fromNow(key.published_at, visit.now)}${key.left_at && html`<span class="under">${rich('until {at}', { at: fromNow(key.left_at, visit.now) })}</span>`}`
        : html`<span class="muted">${t('registered')}</span>`,
      lastUse(key.first_used_at, visit.now),
      lastUse(key.last_used_at, visit.now),
    ]),
  })}`;
}

function authorizationToken(
  visit: Visit,
  client: ShownClient,
  at: string,
  token: ShownAuthorizationToken | undefined,
  declared: readonly NamedScope[],
): VNode {
  const mayManage = visit.can('api_key:manage');
  return html`<section class="card" aria-labelledby="token">
    <h2 id="token">${t('API authorization token')}</h2>
    ${
      token
        ? facts({
            [t('Time left')]: timeLeft(token.expires_at, visit.now),
            [t('Issued')]: rich('{at} by {name}', { at: fromNow(token.issued_at, visit.now), name: token.issued_by }),
            [t('Permissions')]: scopesInWords(token.scope, declared),
          })
        : html`<p class="muted">
            ${t('There is no active token. You can issue an access token yourself, for example to test the API. The Client ID and secret do not change.')}
          </p>`
    }
    ${
      mayManage &&
      (client.status === 'enabled'
        ? html`<div class="actions">
            ${client.access_key === 'optional' && postForm(`${at}/authorization-token`, html`<button>${token ? t('Issue new token') : t('Issue token')}</button>`)}
            <a class="button" href=${`${at}/authorization-token`}>${client.access_key === 'optional' ? t('Issue with options…') : t('Issue token…')}</a>
            ${token && postForm(`${at}/authorization-token/revoke`, html`<button class="danger">${t('Revoke')}</button>`)}
          </div>
          ${token && html`<p class="hint">${t('Issuing a new token revokes this one immediately.')}</p>`}`
        : html`<p class="hint">${t('No token can be issued while the integration is disabled.')}</p>`)
    }
  </section>`;
}

function accessKeys(visit: Visit, client: ShownClient, { data, next_cursor: next }: Listed<ShownAccessKey>): VNode {
  return html`<section class="card" aria-labelledby="access-keys">
    <h2 id="access-keys">${t('Access keys')}</h2>
    ${
      data.length === 0
        ? html`<p class="muted">${t('No access key works with this integration yet. Create one on the page of a contact.')}</p>`
        : keysOfClientTable(visit, data)
    }
    <p><a href=${`/console/access-keys?client_id=${encodeURIComponent(client.client_id)}`}>${next ? t('Show all access keys of this integration') : t('Show them in the complete list')}</a></p>
  </section>`;
}

function offers(client: ShownClient, usage: ShownScopeUsage | undefined): VNode {
  return html`<section class="card" aria-labelledby="offers">
    <h2 id="offers">${t('Settings')}</h2>
    ${facts({
      [t('Resource identifier')]: html`<code>${client.resource}</code>`,
      [t('Kinds of information')]: client.information.join(', ') || t('none'),
      [t('Named scopes')]: declaredScopeList(client.scopes, usage?.scopes),
      [t('Access token format')]:
        client.token_format === 'jwt'
          ? t('JWT (RFC 9068), typ {tokenTyp}', { tokenTyp: client.token_typ ?? '' })
          : t('Opaque'),
    })}
  </section>`;
}

function grants(client: ShownClient, organization: Facts, declared: readonly NamedScope[]): VNode {
  return html`<section class="card" aria-labelledby="settings">
    <h2 id="settings">${t('Settings')}</h2>
    ${facts({
      ...organization,
      [t('Permissions')]: scopesInWords(client.scope, declared),
      [t('Access key')]:
        html`${accessKeyUse(client.access_key ?? 'optional')} (<a href="/console/access-keys">${t('complete list of access keys')}</a>)`,
      [t('Resource server')]: client.resource
        ? html`<code>${client.resource}</code>`
        : t('determined by the token request or by the permissions'),
      [t('Authentication')]: methodLabel(client.auth_method),
      [t('Certificate subject')]: Object.entries(client).find(([name]) => name.startsWith('tls_client_auth_'))?.[1] as
        | string
        | undefined,
      [t('Public keys')]:
        client.jwks_uri ??
        (client.jwks ? t('{count, number} registered', { count: client.jwks.keys.length }) : undefined),
    })}
  </section>`;
}

function danger(visit: Visit, client: ShownClient, at: string): VNode | null {
  const [mayEdit, mayManage] = [visit.can('integrations:edit'), visit.can('api_key:manage')];
  if (!mayEdit && !mayManage) return null;
  const isEnabled = client.status === 'enabled';
  return html`<section class="card" aria-labelledby="danger">
    <h2 id="danger">${t('Danger zone')}</h2>
    <div class="actions">
      ${
        mayEdit &&
        (isEnabled
          ? html`<a class="button danger" href=${`${at}/disable`}>${t('Disable…')}</a>`
          : postForm(`${at}/enable`, html`<button>${t('Enable')}</button>`))
      }
      ${mayManage && client.kind === 'integration' && html`<a class="button danger" href=${`${at}/revoke-tokens`}>${t('Revoke all tokens…')}</a>`}
      ${mayManage && !isEnabled && html`<a class="button danger" href=${`${at}/delete`}>${t('Delete…')}</a>`}
    </div>
    ${mayManage && isEnabled && html`<p class="hint">${t('To delete it, disable it first.')}</p>`}
  </section>`;
}
