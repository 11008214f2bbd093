import { html } from 'htm/preact';
import type { Permission } from '../../../contacts/contact.ts';
import type { Route } from '../call-endpoint.ts';
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

const title = 'This is no longer shown here';

const notShown: Reply = {
  status: 404,
  title,
  body: html`${pageHeading({ title })}
    <p>
      What was made here is shown for ten minutes, and only in the session that made it. It still works. Look for it in the lists: if a sealed copy of a secret is kept, it can be shown again there; if not, regenerate it.
    </p>
    <p><a class="button" href="/console/">Go to the start page</a></p>`,
};

/**
 * Describes how long a new secret can be viewed.
 * @param isKept whether an encrypted copy is stored for longer than ten minutes.
 */
export function shownHowLong(isKept: boolean): string {
  return isKept
    ? 'Copy it now. It is shown here for ten minutes; later, somebody with api_key:manage can show it again. Each look is in the audit log.'
    : 'Copy it now. It is shown here for ten minutes, and never again.';
}
