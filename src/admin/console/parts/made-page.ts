import { html } from 'htm/preact';
import { type Permission, permissionNames } from '../../../contacts/contact.ts';
import type { Route } from '../../call-endpoint.ts';
import type { Page, Reply, Visit } from '../page.ts';
import { pageHeading } from './elements.ts';

/**
 * Creates the page that shows a form's result after a redirect (post, redirect, get), so that a reload shows the result
 * again and changes nothing. The result is stored encrypted for ten minutes and is shown only to the session that sent
 * the form.
 * @param path the form's path below `/console`. The result is at `made/:once` below it.
 * @param route the endpoint that the form called.
 */
export function madePage<Body>({
  path,
  route,
  permission,
  params,
  show,
}: {
  path: string;
  route: Route;
  permission: Permission;
  /** Returns the parameters that the form passed to the route. */
  params?(visit: Visit): Record<string, string | undefined>;
  show(visit: Visit, made: Body): Reply | Promise<Reply>;
}): Page {
  return {
    method: 'get',
    path: `${path}/made/:once`,
    permission,
    handle: async (visit) => {
      const made = await visit.recall<Body>(route, { params: params?.(visit) ?? {}, once: visit.params['once'] ?? '' });
      return made === undefined ? notShown : await show(visit, made);
    },
  };
}

const title = 'No longer shown here';

const notShown: Reply = {
  status: 404,
  title,
  body: html`${pageHeading({ title })}
    <p>
      New credentials are shown for ten minutes, and only in the session that created them. They still work. If an encrypted copy is stored, you can show the secret or key again on the page of its owner. Otherwise, regenerate it.
    </p>
    <p><a class="button" href="/console/">Go to the start page</a></p>`,
};

/** Hint of the option to store an encrypted copy of a secret or key. */
export const copyHint = `Operators with the permission “${permissionNames['api_key:manage']}” can then show it again. Each view is recorded in the audit log. Without a copy, it cannot be shown again after ten minutes.`;

/**
 * Describes how long a new secret can be viewed.
 * @param isKept whether an encrypted copy is stored for longer than ten minutes.
 */
export function shownHowLong(isKept: boolean): string {
  return isKept
    ? `Copy it now. It is shown here for ten minutes. Later, operators with the permission “${permissionNames['api_key:manage']}” can show it again.`
    : 'Copy it now. It is shown here for ten minutes and cannot be shown again later.';
}
