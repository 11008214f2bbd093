import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';
import { cellOf } from '../../../clients/declared-scopes.ts';
import { currentLanguage } from '../languages/language.ts';
import { t, translate } from '../languages/translate.ts';
import { badge } from './elements.ts';

/** Shows scopes with the descriptions and marks that their resource servers give them. */

/** A scope with a name of its own. */
export type NamedScope = {
  name: string;
  description: string;
  aliases: readonly string[];
  sensitive: boolean;
  /** Those of its names that are deprecated. */
  deprecated: readonly string[];
};

/** Returns the declared scope that each name belongs to. */
export function scopesByName(named: readonly NamedScope[]): Map<string, NamedScope> {
  return new Map(named.flatMap((scope) => [scope.name, ...scope.aliases].map((name) => [name, scope])));
}

/** Renders marks of a scope with a name of its own. */
export function scopeMarks(name: string, scope: NamedScope | undefined): ComponentChildren {
  return html`${scope?.sensitive && badge('warn', t('sensitive'))} ${scope?.deprecated.includes(name) && badge('plain', t('deprecated'))}`;
}

/**
 * Renders scopes as sentences, such as `Read and create orders`, with their codes in small print.
 * @param named scopes that resource servers name, of which the description is shown.
 */
export function scopesInWords(scope: string, named: readonly NamedScope[] = []): VNode {
  const byName = scopesByName(named);
  const given = scope.split(' ').filter(Boolean);
  if (given.length === 0) return html`<span class="muted">${t('none')}</span>`;
  const kinds = new Map<string, string[]>();
  for (const each of given.filter((name) => !byName.has(name))) {
    const { kind, action } = cellOf(each) ?? { kind: each, action: '' };
    kinds.set(kind, [...(kinds.get(kind) ?? []), action]);
  }
  return html`<ul>
    ${[...kinds].map(([kind, actions]) => {
      const verbs = new Intl.ListFormat(currentLanguage().tag).format(actions.filter(Boolean).map(translate));
      const codes = actions.map((action) => (action ? `${kind}:${action}` : kind)).join(' ');
      return html`<li>${verbs && `${capitalized(t('{actions} {kind}', { actions: verbs, kind: kind.replaceAll('_', ' ') }))} `}<code class=${verbs ? 'fine' : undefined}>${codes}</code></li>`;
    })}
    ${given.map((name) => {
      const declared = byName.get(name);
      return (
        declared &&
        html`<li>${declared.description} <code class="fine">${name}</code> ${scopeMarks(name, declared)}</li>`
      );
    })}
  </ul>`;
}

function capitalized(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
