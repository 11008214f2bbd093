import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { invalidField } from '../../../errors.ts';
import { nameTargets } from '../../../search/name-targets.ts';
import { isUuid } from '../../../text/is-uuid.ts';
import { currentLanguage } from '../languages/language.ts';
import { type Message, msg, t } from '../languages/translate.ts';
import { type ShownAccessKey, type ShownContact, type ShownFound, unlessMissing, type Visit } from '../page.ts';
import { notice } from './notices.ts';

/** Fields in which operators choose contacts and clients by name. A script suggests what the server finds while they type. */

export type Picked = ShownFound['data'][number];
export type PickKind = Picked['kind'];

const nouns: Readonly<Record<PickKind, Message>> = {
  integration: msg('integration'),
  resource_server: msg('resource server'),
  access_key: msg('access key'),
  contact: msg('contact'),
  organization: msg('organization'),
};

/** Returns a text that identifies a thing, such as `Order sync <kti_…>`. */
export function pickText({ kind, id, name, detail }: Picked): string {
  return `${name} <${kind === 'contact' ? detail : id}>`;
}

/**
 * Finds the things that an entered text matches. A text of `pickText`, an ID, an e-mail address or a complete name
 * matches only the things that have it.
 */
export async function findPicked(visit: Visit, text: string, kinds: readonly PickKind[]): Promise<Picked[]> {
  const entered = text.trim();
  if (isUuid(entered)) return (await Promise.all(kinds.map((kind) => findById(visit, kind, entered)))).flat();
  const [, inner = entered] = /<([^<>]+)>$/.exec(entered) ?? [];
  const { body } = await visit.call<ShownFound>('GET /search', { query: { q: inner.slice(0, 200), limit: '50' } });
  const found = body.data.filter(({ kind }) => kinds.includes(kind));
  const same = (one: string) => one.toLowerCase() === inner.toLowerCase();
  const ways = [
    found.filter((one) => pickText(one) === entered),
    found.filter((one) => same(one.id) || (one.kind === 'contact' && same(one.detail))),
    found.filter((one) => same(one.name)),
  ];
  return ways.find((way) => way.length > 0) ?? found;
}

/** Finds a contact or access key by its ID, which no search does. */
async function findById(visit: Visit, kind: PickKind, id: string): Promise<Picked[]> {
  const params = { id };
  if (kind === 'contact') {
    const found = await unlessMissing(visit.call<ShownContact>('GET /contacts/{id}', { params }));
    return found ? [{ kind, id, name: found.body.name, detail: found.body.email }] : [];
  }
  if (kind === 'access_key') {
    const found = await unlessMissing(visit.call<ShownAccessKey>('GET /access-keys/{id}', { params }));
    return found ? [{ kind, id, name: found.body.name, detail: found.body.contact_name }] : [];
  }
  return [];
}

/** Finds the one thing that was entered in a form. @throws {InvalidInput} that names the field, and what matches. */
export async function requirePicked(
  visit: Visit,
  field: string,
  text: string,
  kinds: readonly PickKind[],
): Promise<Picked> {
  const [picked, ...others] = await findPicked(visit, text, kinds);
  const refuse = (message: string) => invalidField(field, message);
  if (!picked) throw refuse(t('no {kinds} matches “{text}”', { kinds: nounsOf(kinds), text }));
  if (others.length > 0) {
    const shown = [picked, ...others].slice(0, 5).map(pickText).join(', ');
    throw refuse(
      others.length > 4
        ? t('several match “{text}”: {shown} and others. Enter one of them', { text, shown })
        : t('several match “{text}”: {shown}. Enter one of them', { text, shown }),
    );
  }
  return picked;
}

const shownCandidates = 10;

/** Renders the things that the text of a filter matches, each as a link that sets the filter to it. */
export function candidates(
  visit: Visit,
  { name, text, kinds, found }: { name: string; text: string; kinds: readonly PickKind[]; found: readonly Picked[] },
): VNode {
  if (found.length === 0) return notice('warn', t('No {kinds} matches “{text}”.', { kinds: nounsOf(kinds), text }));
  const { cursor: _page, ...query } = visit.query;
  return notice(
    'warn',
    html`<p>${t('Several match “{text}”. Choose one:', { text })}</p>
      <ul>
        ${found
          .slice(0, shownCandidates)
          .map(
            (each) =>
              html`<li><a href=${`${visit.path}?${new URLSearchParams({ ...query, [name]: each.id })}`}>${each.name}</a> <span class="muted">${`${t(nouns[each.kind])}, ${each.detail}`}</span></li>`,
          )}
        ${found.length > shownCandidates && html`<li>${t('and others. Enter more of the name to find them.')}</li>`}
      </ul>`,
  );
}

function nounsOf(kinds: readonly PickKind[]): string {
  return new Intl.ListFormat(currentLanguage().tag, { type: 'disjunction' }).format(
    kinds.map((kind) => t(nouns[kind])),
  );
}

/** Returns the text for clients that are known by their Client IDs, one a line. */
export async function linesOfClients({ core }: Visit, clientIds: readonly string[]): Promise<string> {
  const names = await nameTargets(core.database, clientIds);
  return clientIds.map((id) => (names.has(id) ? `${names.get(id)} <${id}>` : id)).join('\n');
}

/** Reads clients that were entered by name or Client ID, one a line. @throws {InvalidInput} that names the field. */
export async function readClientLines(visit: Visit, field: string): Promise<string[]> {
  const lines = (visit.form.get(field) ?? '').split(/\r?\n/).map((line) => line.trim());
  const ids: string[] = [];
  for (const line of lines.filter(Boolean)) {
    const words = line.split(/[\s,]+/);
    // Several Client IDs in one line, which no search finds.
    if (words.every((word) => word.startsWith('kti_'))) ids.push(...words);
    else ids.push((await requirePicked(visit, field, line, ['integration', 'resource_server'])).id);
  }
  return [...new Set(ids)];
}
