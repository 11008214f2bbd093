import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Config } from '../../config.ts';
import type { Page, Visit } from './page.ts';
import { pageHeading } from './parts/elements.ts';
import { table } from './parts/table.ts';

/** The configuration of the process that answers, to be read; it comes from its environment alone. */
export const settingsPage: Page = {
  method: 'get',
  path: '/settings',
  permission: 'integrations:view',
  handle: async (visit) => ({
    title: 'Settings',
    section: 'settings',
    body: html`${pageHeading({
      title: 'Settings',
      lead: 'To be read only: they come from the environment of the server, and count from its next start on.',
    })}
    ${table({
      caption: 'Settings',
      columns: [{ label: 'Variable' }, { label: 'Value' }, { label: 'Comes from' }],
      rows: settings(visit).map(([name, value]) => [
        html`<code>${name}</code>`,
        value,
        visit.core.config.given.includes(name) ? 'the environment' : html`<span class="muted">the default</span>`,
      ]),
    })}
    <p class="hint">Passwords and keys are not shown. <code>keyturn doctor</code> checks all of it, both stores and the root key.</p>`,
  }),
};

function settings({ core: { config, keyRing } }: Visit): [name: string, value: VNode | string][] {
  const code = (value: string | number) => html`<code>${value}</code>`;
  const list = (values: readonly string[]) => (values.length > 0 ? code(values.join(', ')) : 'none');
  const onOff = (value: boolean) => code(value ? 'on' : 'off');
  return [
    ['KEYTURN_ISSUER', code(config.issuer)],
    ['DATABASE_URL', store(config.databaseUrl, 'embedded, in the data directory')],
    ['REDIS_URL', store(config.redisUrl, 'none: access tokens are in the database')],
    [rootKeyName(config), html`versions ${code(keyRing.versions.join(', '))}, of which the first is used`],
    ['KEYTURN_DATA_DIR', code(config.dataDir)],
    ['KEYTURN_HOST', code(config.host)],
    ['KEYTURN_PORT', code(config.port)],
    ['KEYTURN_ADMIN_HOST', code(config.adminHost)],
    ['KEYTURN_ADMIN_PORT', code(config.adminPort)],
    ['KEYTURN_WORKERS', code(config.workers)],
    ['KEYTURN_ACCESS_TOKEN_TTL', html`${code(config.accessTokenTtlSeconds)} seconds`],
    ['KEYTURN_STALE_SECONDS', html`${code(config.staleSeconds)} seconds`],
    ['KEYTURN_REVEAL', onOff(config.reveal)],
    ['KEYTURN_SIGNING_ALG', code(config.signingAlgorithm)],
    ['KEYTURN_SIGNING_KEY_DAYS', html`${code(config.signingKeyDays)} days`],
    ['KEYTURN_FAILURES_PER_MINUTE', code(config.failuresPerMinute)],
    ['KEYTURN_FAST_PATH', onOff(config.fastPath)],
    ['KEYTURN_ALLOWED_HOSTS', list(config.allowedHosts)],
    ['KEYTURN_TRUST_PROXY', list(config.trustProxy)],
    ['KEYTURN_LOG_LEVEL', code(config.logLevel)],
  ];
}

function rootKeyName({ given }: Config): string {
  return given.includes('KEYTURN_ROOT_KEY_FILE') ? 'KEYTURN_ROOT_KEY_FILE' : 'KEYTURN_ROOT_KEY';
}

/** Where a store is, and nothing that opens it. */
function store(address: string | undefined, without: string): VNode | string {
  if (address === undefined) return without;
  const [, scheme = '', hosts = '', path = ''] = /^([a-z+]+:\/\/)(?:[^/]*@)?([^/?#]*)(\/[^?#]*)?/i.exec(address) ?? [];
  return html`<code>${scheme}${hosts}${path}</code>`;
}
