import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { keysOfRegistration, type Registration } from '../../../../credentials/registration.ts';
import { msg, rich, t } from '../../languages/translate.ts';
import type { ShownClient, ShownRegeneration, ShownReview, Visit } from '../../page.ts';
import { badge, exactMoment, facts, fromNow, lastUse, table } from '../../parts/elements.ts';
import { notice } from '../../parts/notices.ts';
import { sourceName } from '../../parts/usage-section.ts';
import { methodLabel, nounText } from '../clients/client-proof.ts';
import { movesTable, whenMoved } from './moves-table.ts';
import { type Nouns, nounsOf, type Owner } from './rotation-subject.ts';

type AuthMethod = ShownClient['auth_method'];

/** Renders the new credential of a client. */
export function newCredential(
  client: ShownClient,
  authMethod: AuthMethod,
  replacement: Readonly<Record<string, unknown>>,
): VNode {
  const jwks = (replacement['jwks'] ?? null) as Registration['jwks'];
  const added = keysOfRegistration({ authMethod, jwks });
  const accepted = new Set(client.keys.filter(({ status }) => status === 'current').map((key) => key.thumbprint));
  const subject = Object.entries(replacement).find(([name]) => name.startsWith('tls_client_auth_'));
  return html`<section class="card" aria-labelledby="new">
    <h2 id="new">${t('New credential')}</h2>
    ${facts({
      [t('Authentication')]: methodLabel(authMethod),
      [t('Keys at')]: replacement['jwks_uri'] as string | undefined,
      [t('Certificate name')]: subject?.[1] as string | undefined,
    })}
    ${
      added.length > 0 &&
      table({
        caption: t('New keys and certificates'),
        columns: [{ label: t('Key') }, { label: t('Status') }],
        rows: added.map((key) => [
          keyName({ ...key, type: key.kind }),
          accepted.has(key.thumbprint) ? badge('plain', t('accepted already')) : badge('ok', t('new')),
        ]),
      })
    }
  </section>`;
}

/** Renders the type and the identifiers of a key or certificate. */
export function keyName({
  kid,
  thumbprint,
  type,
}: Pick<ShownClient['keys'][number], 'kid' | 'thumbprint' | 'type'>): VNode {
  return html`<code>${kid ?? thumbprint.slice(0, 16)}</code><span class="under" title=${thumbprint}>${nounText(type === 'trust' ? 'identity' : type)}</span>`;
}

/** Renders the effects of a rotation: sources in use, token counts, and a grace period that would end. */
export function impactOf(
  visit: Visit,
  impact: ShownReview['impact'],
  { noun, client }: Owner,
  newNoun: Owner['noun'],
): VNode {
  const sources = impact.used_by.length + impact.used_by_others;
  const { retiring_secret: retiring, keys } = impact;
  // Sources that have moved no longer need the previous credential.
  const failing = retiring?.used_by.filter(({ reason }) => reason !== 'moved' && reason !== 'marked_as_moved') ?? [];
  return html`<section class="card" aria-labelledby="impact">
    <h2 id="impact">${t('Impact')}</h2>
    <p>
      ${
        impact.awaits_first_use
          ? t(
              'The {noun} was imported as a hash and still awaits its first use, so the sources that need it are not known yet.',
              { noun },
            )
          : sources === 0
            ? t('The {noun} was not used in the last 30 days, so no program should fail.', { noun })
            : html`${t('{sources, plural, one {# source uses} other {# sources use}} the {noun}. Each source must move to the new {newNoun} before the grace period ends. After that, its token requests fail.', { sources, noun, newNoun })} ${keys.some(({ ends }) => !ends) && t('Sources of a key that is still accepted need not move.')}`
      }
    </p>
    <dl class="numbers">
      <div><dt>${t('Sources in 30 days')}</dt><dd>${sources}</dd></div>
      <div><dt>${t('Tokens in 24 hours')}</dt><dd>${impact.tokens_24h}</dd></div>
      <div><dt>${t('Active tokens')}</dt><dd>${impact.live_tokens}</dd></div>
      <div><dt>${t('Last used')}</dt><dd>${impact.last_used_at === null ? html`<span class="muted">${t('not in 30 days')}</span>` : fromNow(impact.last_used_at, visit.now)}</dd></div>
    </dl>
    ${
      retiring &&
      notice(
        'warn',
        html`<p>
          ${rich('<strong>A grace period is already running</strong> for the previous {previous}. It would end {at}, but it ends as soon as you continue.', { previous: named(nounsOf({ previous: retiring }, { client }).previous, retiring.hint), at: fromNow(retiring.retires_at, visit.now) })} ${failing.length === 0 ? t('No source needs it any more.') : t('{count, plural, one {# source has} other {# sources have}} not moved and will fail.', { count: failing.length })}
        </p>`,
      )
    }
    ${impact.warnings.map((warning) => notice('warn', warning))}
    ${keys.length > 0 && keyUse(visit, keys)}
    ${
      impact.used_by.length > 0 &&
      table({
        caption: t('Sources that use the {noun}', { noun }),
        columns: [
          { label: t('Source') },
          { label: t('Last used') },
          { label: t('Counts as moved') },
          { label: t('Tokens in 24 h'), isNumber: true },
        ],
        rows: impact.used_by.map((source) => [
          sourceName(source),
          lastUse(source.last_seen_at, visit.now),
          whenMoved(source),
          String(source.tokens_24h),
        ]),
      })
    }
    ${impact.used_by_others > 0 && html`<p class="muted">${t('And {count, plural, one {# more source} other {# more sources}}.', { count: impact.used_by_others })}</p>`}
  </section>`;
}

/** Renders a credential. The hint of keys and certificates begins with what they are. */
function named(noun: Owner['noun'], hint: string): VNode {
  return hint.startsWith('…')
    ? html`${nounText(noun)} <code class="nowrap">${hint}</code>`
    : html`<code>${hint}</code>`;
}

/** Renders which of the current keys and certificates end, and who uses each. */
function keyUse(visit: Visit, keys: ShownReview['impact']['keys']): VNode {
  return table({
    caption: t('Current keys and certificates'),
    columns: [
      { label: t('Key') },
      { label: t('After the grace period') },
      { label: t('Used by') },
      { label: t('Last used') },
      { label: t('Tokens in 24 h'), isNumber: true },
    ],
    rows: keys.map((key) => {
      const shown = key.used_by.slice(0, 3);
      const more = key.used_by.length - shown.length + key.used_by_others;
      return [
        keyName(key),
        key.ends ? badge('warn', t('rejected')) : badge('ok', t('still accepted')),
        shown.length === 0
          ? html`<span class="muted">${t('no source')}</span>`
          : html`<ul>${shown.map((source) => html`<li>${sourceName(source)}</li>`)}${more > 0 && html`<li>${t('and {count, number} more', { count: more })}</li>`}</ul>`,
        lastUse(key.last_used_at, visit.now),
        String(key.tokens_24h),
      ];
    }),
  });
}

const states = { overlapping: msg('overlapping'), finished: msg('finished'), undone: msg('undone') };

/** The client or access key whose rotations are shown. */
type Rotated = Pick<Owner, 'client'> & { at: string; mayAct: boolean };

/**
 * Renders the running grace period with the sources that use the new or the previous secret, and earlier regenerations.
 * Returns null if nothing was ever regenerated.
 */
export function regenerationSection(
  visit: Visit,
  owner: Rotated,
  regenerations: readonly ShownRegeneration[],
): VNode | null {
  if (regenerations.length === 0) return null;
  const running = regenerations.find(({ state }) => state === 'overlapping');
  const earlier = regenerations.filter((each) => each !== running);
  return html`<section class="card" id="regenerations" aria-labelledby="regenerations-title">
    <h2 id="regenerations-title">${running ? t('Grace period') : t('Rotations')}</h2>
    ${running && gracePeriod(visit, owner, running)} ${earlier.length > 0 && history(visit, earlier)}
  </section>`;
}

function gracePeriod(visit: Visit, { at, client, mayAct }: Rotated, rotation: ShownRegeneration): VNode {
  const { moved, still_using_old: still, previous } = rotation;
  const nouns = nounsOf(rotation, { client });
  const all = moved.length + still.length;
  const path = `${at}/regenerations/${rotation.id}`;
  return html`<div class="stack">
    <p>
      ${rich('The new {current} and the previous {previous} both work.', { current: named(nouns.current, rotation.hint), previous: named(nouns.previous, previous.hint) })}
      ${previous.retires_at && html` ${expiry(visit, nouns, previous.retires_at, rotation.finish_when_unused)}`}
    </p>
    ${
      all === 0
        ? notice('plain', t('The previous {previous} was not used in the last 30 days.', { previous: nouns.previous }))
        : still.length === 0
          ? notice(
              'ok',
              t(
                '{all, plural, =1 {The only source has} other {All # sources have}} moved to the new {current}. You can end the grace period.',
                { all, current: nouns.current },
              ),
            )
          : notice(
              'warn',
              all === 1
                ? t('The only source has not moved. If the grace period ended now, it would fail.')
                : t(
                    '{moved, number} of {all, number} sources have moved. If the grace period ended now, {still, plural, one {# source} other {# sources}} would fail.',
                    { moved: moved.length, all, still: still.length },
                  ),
            )
    }
    ${rotation.handover && html`<p>It began when ${rotation.handover.opened_by} opened a link from <code>${rotation.handover.address}</code>, ${fromNow(rotation.created_at, visit.now)}.</p>`}
    ${all > 0 && movesTable(visit, rotation, nouns, mayAct ? path : undefined)}
    ${
      mayAct &&
      html`<div class="actions">
        <a class="button" href=${`${path}/extend`}>${t('Extend grace period')}</a>
        <a class=${still.length > 0 ? 'button danger' : 'button'} href=${`${path}/finish`}>${t('End grace period now')}</a>
        <a class="button danger" href=${`${path}/undo`}>${t('Undo rotation')}</a>
      </div>`
    }
  </div>`;
}

/** Says when the previous credential expires. */
function expiry(visit: Visit, { previous }: Nouns, end: string, isEarly: boolean): VNode {
  const values = { previous, from: fromNow(end, visit.now), at: exactMoment(end) };
  return isEarly
    ? rich('The previous {previous} expires {from} ({at}), or as soon as all sources have moved.', values)
    : rich('The previous {previous} expires {from} ({at}).', values);
}

function history(visit: Visit, earlier: readonly ShownRegeneration[]): VNode {
  return table({
    caption: t('Earlier rotations'),
    columns: [
      { label: t('Rotated') },
      { label: t('Status') },
      { label: t('By') },
      { label: t('Rejected uses of the previous one') },
    ],
    rows: earlier.map((each) => [
      html`${fromNow(each.created_at, visit.now)} <code class="under">${each.previous.hint} → ${each.hint}</code>`,
      badge('plain', t(states[each.state])),
      each.handover
        ? html`${each.created_by} <span class="under">${t('opened from {address}', { address: each.handover.address })}</span>`
        : each.created_by,
      each.tried_after_end.length === 0
        ? html`<span class="muted">${t('none')}</span>`
        : html`<ul>${each.tried_after_end.map((source) => html`<li>${sourceName(source)}</li>`)}</ul>`,
    ]),
  });
}
