import { html } from 'htm/preact';
import type { Permission } from '../../../contacts/contact.ts';
import type { Route } from '../../call-endpoint.ts';
import { t } from '../languages/translate.ts';
import type { Page, Reply, Visit } from '../page.ts';
import { pageHeading, permissionName } from './elements.ts';

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
  permission?: Permission;
  /** Returns the parameters that the form passed to the route. */
  params?(visit: Visit): Record<string, string | undefined>;
  show(visit: Visit, made: Body): Reply | Promise<Reply>;
}): Page {
  return {
    method: 'get',
    path: `${path}/made/:once`,
    ...(permission === undefined ? {} : { permission }),
    handle: async (visit) => {
      const made = await visit.recall<Body>(route, { params: params?.(visit) ?? {}, once: visit.params['once'] ?? '' });
      return made === undefined ? notShown() : await show(visit, made);
    },
  };
}

function notShown(): Reply {
  const title = t('No longer shown here');
  return {
    status: 404,
    title,
    body: html`${pageHeading({ title })}
      <p>
        ${t('New credentials are shown for ten minutes, and only in the session that created them. They still work. If an encrypted copy is stored, you can show the secret or key again on the page of its owner. Otherwise, regenerate it.')}
      </p>
      <p><a class="button" href="/console/">${t('Go to the start page')}</a></p>`,
  };
}

/** Returns the hint of the option to store an encrypted copy of a secret or key. */
export function copyHint(): string {
  return t(
    'Operators with the permission “{permission}” can then show it again. Each view is recorded in the audit log. Without a copy, it cannot be shown again after ten minutes.',
    { permission: permissionName('api_key:manage') },
  );
}

/**
 * Describes how long a new secret can be viewed.
 * @param isKept whether an encrypted copy is stored for longer than ten minutes.
 */
export function shownHowLong(isKept: boolean): string {
  return isKept
    ? t(
        'Copy it now. It is shown here for ten minutes. Later, operators with the permission “{permission}” can show it again.',
        { permission: permissionName('api_key:manage') },
      )
    : t('Copy it now. It is shown here for ten minutes and cannot be shown again later.');
}
