import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { keysOfRegistration, type Registration } from '../../../../credentials/registration.ts';
import { countOf } from '../../../../text/count-text.ts';
import type { ShownClient, ShownRegeneration, ShownReview, Visit } from '../../page.ts';
import { badge, exactMoment, facts, fromNow, lastUse, table } from '../../parts/elements.ts';
import { notice } from '../../parts/notices.ts';
import { sourceName } from '../../parts/usage-section.ts';
import { methodLabel } from '../clients/client-proof.ts';
import { movesTable, whenMoved } from './moves-table.ts';
import { nounsOf, type Owner } from './rotation-subject.ts';

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
    <h2 id="new">New credential</h2>
    ${facts({
      Authentication: methodLabel(authMethod),
      'Keys at': replacement['jwks_uri'] as string | undefined,
      'Certificate name': subject?.[1] as string | undefined,
    })}
    ${
      added.length > 0 &&
      table({
        caption: 'New keys and certificates',
        columns: [{ label: 'Key' }, { label: 'Status' }],
        rows: added.map((key) => [
          keyName({ ...key, type: key.kind }),
          accepted.has(key.thumbprint) ? badge('plain', 'accepted already') : badge('ok', 'new'),
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
  return html`<code>${kid ?? thumbprint.slice(0, 16)}</code><span class="under" title=${thumbprint}>${type}</span>`;
}

/** Renders the effects of a rotation: sources in use, token counts, and a grace period that would end. */
export function impactOf(visit: Visit, impact: ShownReview['impact'], { noun, client }: Owner, newNoun: string): VNode {
  const sources = impact.used_by.length + impact.used_by_others;
  const { retiring_secret: retiring, keys } = impact;
  // Sources that have moved no longer need the previous credential.
  const failing = retiring?.used_by.filter(({ reason }) => reason !== 'moved' && reason !== 'marked_as_moved') ?? [];
  return html`<section class="card" aria-labelledby="impact">
    <h2 id="impact">Impact</h2>
    <p>
      ${
        impact.awaits_first_use
          ? `The ${noun} was imported as a hash and still awaits its first use, so the sources that need it are not known yet.`
          : sources === 0
            ? `The ${noun} was not used in the last 30 days, so no program should fail.`
            : `${countOf(sources, 'source')} ${sources === 1 ? 'uses' : 'use'} the ${noun}. Each source must move to the new ${newNoun} before the grace period ends. After that, its token requests fail.${keys.some(({ ends }) => !ends) ? ' Sources of a key that is still accepted need not move.' : ''}`
      }
    </p>
    <dl class="numbers">
      <div><dt>Sources in 30 days</dt><dd>${sources}</dd></div>
      <div><dt>Tokens in 24 hours</dt><dd>${impact.tokens_24h}</dd></div>
      <div><dt>Active tokens</dt><dd>${impact.live_tokens}</dd></div>
      <div><dt>Last used</dt><dd>${lastUse(impact.last_used_at, visit.now)}</dd></div>
    </dl>
    ${
      retiring &&
      notice(
        'warn',
        html`<p>
          <strong>A grace period is already running</strong> for the previous ${named(nounsOf({ previous: retiring }, { client }).previous, retiring.hint)}. It would end ${fromNow(retiring.retires_at, visit.now)}, but it ends as soon as you continue. ${failing.length === 0 ? 'No source needs it any more.' : `${countOf(failing.length, 'source')} ${failing.length === 1 ? 'has' : 'have'} not moved and will fail.`}
        </p>`,
      )
    }
    ${keys.length > 0 && keyUse(visit, keys)}
    ${
      impact.used_by.length > 0 &&
      table({
        caption: `Sources that use the ${noun}`,
        columns: [
          { label: 'Source' },
          { label: 'Last used' },
          { label: 'Counts as moved' },
          { label: 'Tokens in 24 h', isNumber: true },
        ],
        rows: impact.used_by.map((source) => [
          sourceName(source),
          lastUse(source.last_seen_at, visit.now),
          whenMoved(source),
          String(source.tokens_24h),
        ]),
      })
    }
    ${impact.used_by_others > 0 && html`<p class="muted">${`And ${countOf(impact.used_by_others, 'more source')}.`}</p>`}
  </section>`;
}

/** Renders a credential. The hint of keys and certificates begins with what they are. */
function named(noun: string, hint: string): VNode {
  return hint.startsWith('…') ? html`${noun} <code class="nowrap">${hint}</code>` : html`<code>${hint}</code>`;
}

/** Renders which of the current keys and certificates end, and who uses each. */
function keyUse(visit: Visit, keys: ShownReview['impact']['keys']): VNode {
  return table({
    caption: 'Current keys and certificates',
    columns: [
      { label: 'Key' },
      { label: 'After the grace period' },
      { label: 'Used by' },
      { label: 'Last used' },
      { label: 'Tokens in 24 h', isNumber: true },
    ],
    rows: keys.map((key) => {
      const shown = key.used_by.slice(0, 3);
      const more = key.used_by.length - shown.length + key.used_by_others;
      return [
        keyName(key),
        key.ends ? badge('warn', 'rejected') : badge('ok', 'still accepted'),
        shown.length === 0
          ? html`<span class="muted">no source</span>`
          : html`<ul>${shown.map((source) => html`<li>${sourceName(source)}</li>`)}${more > 0 && html`<li>${`and ${more} more`}</li>`}</ul>`,
        lastUse(key.last_used_at, visit.now),
        String(key.tokens_24h),
      ];
    }),
  });
}

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
    <h2 id="regenerations-title">${running ? 'Grace period' : 'Rotations'}</h2>
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
      The new ${named(nouns.current, rotation.hint)} and the previous ${named(nouns.previous, previous.hint)} both work. The previous ${nouns.previous} expires
      ${previous.retires_at && html` ${fromNow(previous.retires_at, visit.now)} (${exactMoment(previous.retires_at)})`}${rotation.finish_when_unused && ', or as soon as all sources have moved'}.
    </p>
    ${
      all === 0
        ? notice('plain', `The previous ${nouns.previous} was not used in the last 30 days.`)
        : still.length === 0
          ? notice(
              'ok',
              `${all === 1 ? 'The only source has' : `All ${all} sources have`} moved to the new ${nouns.current}. You can end the grace period.`,
            )
          : notice(
              'warn',
              all === 1
                ? 'The only source has not moved. If the grace period ended now, it would fail.'
                : `${moved.length} of ${all} sources have moved. If the grace period ended now, ${still.length === 1 ? '1 source' : `${still.length} sources`} would fail.`,
            )
    }
    ${all > 0 && movesTable(visit, rotation, nouns, mayAct ? path : undefined)}
    ${
      mayAct &&
      html`<div class="actions">
        <a class="button" href=${`${path}/extend`}>Extend grace period</a>
        <a class=${still.length > 0 ? 'button danger' : 'button'} href=${`${path}/finish`}>End grace period now</a>
        <a class="button danger" href=${`${path}/undo`}>Undo rotation</a>
      </div>`
    }
  </div>`;
}

function history(visit: Visit, earlier: readonly ShownRegeneration[]): VNode {
  return table({
    caption: 'Earlier rotations',
    columns: [
      { label: 'Rotated' },
      { label: 'Status' },
      { label: 'By' },
      { label: 'Rejected uses of the previous one' },
    ],
    rows: earlier.map((each) => [
      html`${fromNow(each.created_at, visit.now)} <code class="under">${each.previous.hint} → ${each.hint}</code>`,
      badge('plain', each.state),
      each.created_by,
      each.tried_after_end.length === 0
        ? html`<span class="muted">none</span>`
        : html`<ul>${each.tried_after_end.map((source) => html`<li>${sourceName(source)}</li>`)}</ul>`,
    ]),
  });
}
