import type { Route } from '../../call-endpoint.ts';
import type { Call } from '../console-calls.ts';
import { attempt, type Visit } from '../page.ts';

/** An edit that can be undone as long as nothing else has changed the same thing. */
export type KeptEdit = {
  route: Route;
  params: Record<string, string>;
  /** The members that the edit has changed, as they were before. */
  body: Record<string, unknown>;
  /** The revision after the edit. */
  revision: string;
  /** The page of the thing. */
  path: `/console/${string}`;
};

/**
 * Saves an edit with the admin API, and keeps how to undo it.
 * @param before what was edited, as the admin API showed it. @param path the page that shows it.
 * @returns the name of the kept edit; undefined if it has changed nothing, or if undoing it would be rejected.
 */
export async function saveEdit(
  visit: Visit,
  before: object,
  route: Route,
  call: Call & { params: Record<string, string> },
  path: `/console/${string}`,
): Promise<string | undefined> {
  const { body: after, revision } = await visit.call<Record<string, unknown>>(route, call);
  const earlier = before as Readonly<Record<string, unknown>>;
  const isChanged = (name: string) => JSON.stringify(earlier[name]) !== JSON.stringify(after[name]);
  const names = Object.keys(call.body ?? {}).filter((name) => name in earlier && isChanged(name));
  if (names.length === 0) return undefined;
  const body = Object.fromEntries(names.map((name) => [name, earlier[name]]));
  const edit: KeptEdit = { route, params: call.params, body, revision, path };
  const would = await attempt(() => visit.rehearse(route, edit));
  return 'done' in would ? await visit.keep(edit) : undefined;
}
