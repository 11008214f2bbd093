import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { html } from 'htm/preact';
import type { Context } from 'koa';
import type { VNode } from 'preact';
import { renderToString } from 'preact-render-to-string';
import type { Permission } from '../../contacts/contact.ts';
import { NotFound } from '../../errors.ts';
import type { PortalSettings } from '../../organizations/portal-settings.ts';
import { accentName, accentStyle } from './accent-style.ts';
import { fitLinks } from './fit-links.ts';
import { currentLanguage, languages } from './languages/language.ts';
import { type Message, msg, t } from './languages/translate.ts';
import type { Section } from './page.ts';
import type { Session } from './sign-in/session.ts';
import type { Site } from './site.ts';

/** Logo: two halves of a ring. */
const icon = `data:image/svg+xml,${encodeURIComponent(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#1f5bc4"/><path d="M10 12a7.5 7.5 0 0 1 13 2M22 20a7.5 7.5 0 0 1-13-2" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round"/></svg>`,
)}`;

/** Renders a complete HTML document. Without an operator, it has no navigation and no name. */
export function renderDocument(page: {
  site: Site;
  /** How it looks; undefined for Keyturn's own look. */
  look?: PortalSettings | undefined;
  title: string;
  section?: Section | undefined;
  operator?: Session['operator'] | undefined;
  /** The address that the browser opens next. */
  refresh?: string | undefined;
  /** A message about the act that led to the page, shown once. */
  message?: VNode | undefined;
  body: VNode;
  /** The text in the search field at the top of the page. */
  sought?: string | undefined;
  /** The path and query of the page, to return to. Undefined if a form led to it. */
  returnPath: string | undefined;
}): string {
  const { site, look, title, refresh, section, operator, message, body, sought, returnPath } = page;
  const { tag, direction } = currentLanguage();
  const document: VNode = html`
    <html lang=${tag} dir=${direction}>
      <head>
        <meta charset="utf-8" />
        <title>${title} · ${look?.name ?? 'Keyturn'}</title>
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex" />
        ${refresh && html`<meta http-equiv="refresh" content=${`0; url=${refresh}`} />`}
        <link rel="icon" href=${look ? (look.logo ?? 'data:,') : icon} />
        <link rel="stylesheet" href=${stylePath} />
        ${look?.accentColor && html`<link rel="stylesheet" href=${`/console/assets/${accentName(look.accentColor)}`} />`}
        <script src=${scriptPath} defer></script>
      </head>
      <body class=${operator ? 'signed-in' : 'signed-out'} data-texts=${JSON.stringify(scriptTexts())}>
        <a class="skip" href="#main">${t('Skip to main content')}</a>
        ${header(look, operator, sought, section)} ${operator && navigation(site, operator, section)}
        <main id="main" tabindex="-1">${message} ${body}</main>
        ${returnPath !== undefined && languages.size > 1 && languageForm(returnPath)}
        <p id="announcement" class="unseen" role="status"></p>
      </body>
    </html>
  `;
  return `<!doctype html>${renderToString(site.name === 'console' ? document : (fitLinks(document, site) as VNode))}`;
}

/** Returns the path and query of a page that can be opened again, else undefined. */
export function returnPathOf(ctx: Context): string | undefined {
  return ctx.method === 'GET' ? ctx.url : undefined;
}

/** Returns the texts that the browser script shows. */
function scriptTexts(): Record<string, string> {
  return {
    copied: t('Copied'),
    selected: t('Selected'),
    expired: t('expired'),
    timeLeft: t('{minutes} min {seconds} s', { minutes: '{minutes}', seconds: '{seconds}' }),
    suggestions: t('Suggestions'),
  };
}

/** Renders the choice of a language, each named in itself. */
function languageForm(returnPath: string): VNode {
  return html`<footer>
    <form class="languages" method="post" action="/console/language" aria-label=${t('Language')}>
      <input type="hidden" name="next" value=${returnPath} />
      ${[...languages.values()].map(({ tag, name }) =>
        tag === currentLanguage().tag
          ? html`<span lang=${tag} aria-current="true">${name}</span>`
          : html`<button class="quiet" name="language" value=${tag} lang=${tag}>${name}</button>`,
      )}
    </form>
  </footer>`;
}

function header(
  look: PortalSettings | undefined,
  operator: Session['operator'] | undefined,
  sought: string | undefined,
  section: Section | undefined,
): VNode {
  const brand = look
    ? html`${look.logo && html`<img src=${look.logo} alt="" height="24" />`}<span>${look.name}</span>`
    : html`<img src=${icon} alt="" width="24" height="24" /><span>Keyturn</span>`;
  return html`<header class="top">
    <div class="product">
      ${operator ? html`<a class="brand" href="/console/">${brand}</a>` : html`<p class="brand">${brand}</p>`}
      ${operator && look?.returnUrl && html`<a class="return nowrap" href=${look.returnUrl} target="_top">${t('← Back to {name}', { name: look.name ?? '' })}</a>`}
    </div>
    ${
      operator?.permissions.includes('integrations:view') &&
      html`<form class="find" method="get" action="/console/search" role="search" aria-label=${t('Everything')} aria-current=${section === 'search' ? 'page' : undefined}>
        <label class="unseen" for="find">${t('Search everything')}</label>
        <input id="find" type="search" name="q" value=${sought} maxlength="200" autocomplete="off" placeholder=${t('Search everything')} aria-keyshortcuts="/ Control+K" />
        <div class="found-now" hidden></div>
      </form>`
    }
    ${
      operator &&
      html`<form class="who" method="post" action="/console/sign-out">
        ${look?.supportUrl && html`<a class="nowrap" href=${look.supportUrl} target="_blank" rel="noopener">${t('Help')}</a>`}
        <a class="who-name" href="/console/sessions" title=${t('Your sessions')}>${operator.name}</a><button class="quiet">${t('Sign out')}</button>
      </form>`
    }
  </header>`;
}

function navigation(site: Site, operator: Session['operator'], current: Section | undefined): VNode {
  return html`<nav class="sections" aria-label=${t('Sections')}>
    <ul>
      ${sectionsFor(site, operator).map(
        ({ section, label, path }) =>
          html`<li>
            <a href=${path} aria-current=${section === current ? 'page' : undefined}>${t(label)}</a>
          </li>`,
      )}
    </ul>
  </nav>`;
}

type Entry = {
  section: Section;
  label: Message;
  path: `/console/${string}`;
  permissions: readonly Permission[];
  own?: true;
  isForDeployment?: true;
};

const entries: readonly Entry[] = [
  { section: 'home', label: msg('Home'), path: '/console/', permissions: ['integrations:view'] },
  {
    section: 'integrations',
    label: msg('Integrations'),
    path: '/console/integrations',
    permissions: ['integrations:view', 'api_key:manage'],
  },
  {
    section: 'access-keys',
    label: msg('Access keys'),
    path: '/console/access-keys',
    permissions: ['integrations:view'],
    own: true,
  },
  {
    section: 'contacts',
    label: msg('Contacts'),
    path: '/console/contacts',
    permissions: ['integrations:view', 'contacts:manage'],
  },
  {
    section: 'organizations',
    label: msg('Organizations'),
    path: '/console/organizations',
    permissions: ['integrations:view', 'contacts:manage'],
  },
  {
    section: 'identity-providers',
    label: msg('Sign-in'),
    path: '/console/identity-providers',
    permissions: ['contacts:manage'],
  },
  {
    section: 'posture',
    label: msg('Posture'),
    path: '/console/posture',
    permissions: ['integrations:view'],
  },
  {
    isForDeployment: true,
    section: 'resource-servers',
    label: msg('Resource servers'),
    path: '/console/resource-servers',
    permissions: ['integrations:view', 'api_key:manage'],
  },
  {
    isForDeployment: true,
    section: 'signing-keys',
    label: msg('Signing keys'),
    path: '/console/signing-keys',
    permissions: ['integrations:view'],
  },
  {
    section: 'trusts',
    label: msg('Workload identities'),
    path: '/console/trusts',
    permissions: ['integrations:view'],
  },
  {
    section: 'approvals',
    label: msg('Approvals'),
    path: '/console/approvals',
    permissions: ['api_key:manage', 'contacts:manage'],
  },
  { section: 'webhooks', label: msg('Webhooks'), path: '/console/webhooks', permissions: ['integrations:view'] },
  { section: 'audit', label: msg('Audit log'), path: '/console/audit', permissions: ['audit:view'] },
  {
    section: 'operator-tokens',
    label: msg('Operator tokens'),
    path: '/console/operator-tokens',
    permissions: ['integrations:view', 'integrations:edit', 'api_key:manage', 'contacts:manage', 'audit:view'],
  },
  {
    isForDeployment: true,
    section: 'explain',
    label: msg('Explain'),
    path: '/console/explain',
    permissions: ['integrations:view'],
  },
  {
    isForDeployment: true,
    section: 'system',
    label: msg('System'),
    path: '/console/system',
    permissions: ['integrations:view'],
  },
];

/** Returns the section that a path belongs to, such as that of integrations for their pages and forms. */
export function sectionOfPath(path: string): Section | undefined {
  const [, , first = ''] = path.split('/');
  if (first === 'policies') return 'posture';
  return first === 'clients' ? 'integrations' : entries.find(({ section }) => section === first)?.section;
}

/** Returns the sections of a site that the operator may see, with at least one of the required permissions. */
export function sectionsFor(site: Site, { permissions, organizationId }: Session['operator']): Entry[] {
  return entries.filter(
    (entry) =>
      site.hasPage('get', entry.path) &&
      ((entry.own && organizationId !== null) ||
        entry.permissions.some((permission) => permissions.includes(permission))) &&
      !(entry.isForDeployment && organizationId !== null),
  );
}

/** Files of the folder assets/, which the build copies to the same place in dist/. */
const style = readAsset('console.css');
const script = readAsset('console.js');

/** Paths contain a hash of the content, so browsers may cache the files without expiry. */
const stylePath = `/console/assets/console.${hashOf(style)}.css`;
const scriptPath = `/console/assets/console.${hashOf(script)}.js`;

const assets = new Map([
  [stylePath, { type: 'text/css; charset=utf-8', text: style }],
  [scriptPath, { type: 'text/javascript; charset=utf-8', text: script }],
]);

export function serveAsset(ctx: Context): void {
  const accent = accentStyle(ctx.path.replace(/^.*\//, ''));
  const asset = accent === undefined ? assets.get(ctx.path) : { type: 'text/css; charset=utf-8', text: accent };
  // The path contains the hash of another version. Pages of this version link only to the current files.
  if (!asset) throw new NotFound('page');
  ctx.set('Cache-Control', 'public, max-age=31536000, immutable');
  ctx.set('Content-Type', asset.type);
  ctx.body = asset.text;
}

function readAsset(name: string): string {
  return readFileSync(new URL(`./assets/${name}`, import.meta.url), 'utf8');
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
