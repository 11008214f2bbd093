import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Config } from '../../../config.ts';
import type { Variable } from '../../../configuration/variables.ts';
import { rich, t } from '../languages/translate.ts';
import type { Page, Visit } from '../page.ts';
import { pageHeading, table } from '../parts/elements.ts';

/**
 * Read-only page with the configuration of the process that serves the request. The configuration comes only from its
 * environment.
 */
export const systemPage: Page = {
  method: 'get',
  path: '/system',
  isForDeployment: true,
  permission: 'integrations:view',
  handle: async (visit) => ({
    title: t('System'),
    section: 'system',
    body: html`${pageHeading({
      title: t('System'),
      lead: t(
        'The settings of the server, read-only. They come from the environment of the server, and changes take effect when it is restarted.',
      ),
      actions: html`<a class="button" href="/console/api">${t('API reference')}</a>`,
    })}
    ${table({
      caption: t('Settings'),
      columns: [{ label: t('Variable') }, { label: t('Value') }, { label: t('Source') }],
      rows: Object.entries(settings(visit)).map(([name, value]) => {
        const [variable, origin] = originOf(visit.core.config, name);
        return [html`<code>${variable}</code>`, value, origin];
      }),
    })}
    <p class="hint">${rich('Passwords and keys are not shown. Run <code>keyturn doctor</code> to check the settings, PostgreSQL, Redis and the root key.')}</p>`,
  }),
};

/** Returns every configuration variable with its value in readable form. */
function settings({ core: { config, keyRing } }: Visit): Record<Exclude<Variable, `${string}_FILE`>, VNode | string> {
  const { tlsFiles } = config;
  const code = (value: string | number) => html`<code>${value}</code>`;
  const optional = (value: string | undefined, without: string) => (value === undefined ? without : code(value));
  const list = (values: readonly string[]) => (values.length > 0 ? code(values.join(', ')) : t('none'));
  const limit = (perMinute: number) => (perMinute === 0 ? t('no limit') : code(perMinute));
  const onOff = (value: boolean) => code(value ? 'on' : 'off');
  return {
    KEYTURN_ISSUER: code(config.issuer),
    DATABASE_URL: store(config.databaseUrl, t('embedded, in the data directory')),
    REDIS_URL: store(config.redisUrl, t('none (access tokens are stored in the database)')),
    KEYTURN_ROOT_KEY: rich('versions {versions} (the first one encrypts new values)', {
      versions: code(keyRing.versions.join(', ')),
    }),
    KEYTURN_DATA_DIR: code(config.dataDir),
    KEYTURN_PORT: code(config.port),
    KEYTURN_HOST: code(config.host),
    KEYTURN_ADMIN_PORT: code(config.adminPort),
    KEYTURN_ADMIN_HOST: code(config.adminHost),
    KEYTURN_PORTAL_PORT: config.portalPort === undefined ? t('the portal is off') : code(config.portalPort),
    KEYTURN_PORTAL_HOST: code(config.portalHost),
    KEYTURN_PORTAL_URL: optional(config.portalUrl, t('none')),
    KEYTURN_WEBHOOK_NETWORKS: list(config.webhookNetworks),
    KEYTURN_ADMIN_URL: optional(config.adminUrl, t('the address in the request')),
    KEYTURN_SMTP_URL: config.mail ? code(`${config.mail.host}:${config.mail.port}`) : t('none (no mails are sent)'),
    KEYTURN_MAIL_FROM: optional(config.mail?.from.address, t('none')),
    KEYTURN_MAIL_REPLY_TO: optional(config.mail?.replyTo?.address, t('none')),
    KEYTURN_WORKERS: code(config.workers),
    KEYTURN_ACCESS_TOKEN_TTL: rich('{seconds} seconds', { seconds: code(config.accessTokenTtlSeconds) }),
    KEYTURN_SESSION_TTL: rich('{seconds} seconds', { seconds: code(config.sessions.lifetimeSeconds) }),
    KEYTURN_SESSION_IDLE: rich('{seconds} seconds', { seconds: code(config.sessions.idleSeconds) }),
    KEYTURN_OPERATOR_TOKEN_DAYS:
      config.operatorTokenDays === 0 ? t('no limit') : rich('{days} days', { days: code(config.operatorTokenDays) }),
    KEYTURN_SSO_ISSUER: optional(config.sso?.issuer, t('none')),
    KEYTURN_SSO_CLIENT_ID: optional(config.sso?.clientId, t('none')),
    KEYTURN_SSO_CLIENT_SECRET: config.sso?.clientSecret ? t('set') : t('none'),
    KEYTURN_SSO_SCOPE: code(config.sso?.scope ?? 'openid profile email'),
    KEYTURN_SSO_CLAIM: code(config.sso?.claim ?? 'groups'),
    KEYTURN_SSO_GRANTS: list(config.sso?.grants.map((grant) => `${grant.value}=${grant.permissions.join(',')}`) ?? []),
    KEYTURN_SSO_ACR_VALUES: list(config.sso?.acrValues ?? []),
    KEYTURN_SSO_ALLOWED_NETWORKS: list(config.ssoNetworks),
    KEYTURN_STALE_SECONDS: rich('{seconds} seconds', { seconds: code(config.staleSeconds) }),
    KEYTURN_REVEAL: onOff(config.reveal),
    KEYTURN_STANDALONE_KEYS: onOff(config.standaloneKeys),
    KEYTURN_TOKEN_EXCHANGES: list(config.exchangePairs.map(({ from, to }) => `${from}=${to}`)),
    KEYTURN_SIGNING_ALG: code(config.signingAlgorithm),
    KEYTURN_SIGNING_KEY_DAYS:
      config.signingKeyDays === 0
        ? t('not rotated automatically')
        : rich('{days} days', { days: code(config.signingKeyDays) }),
    KEYTURN_FAILURES_PER_MINUTE: limit(config.failuresPerMinute),
    KEYTURN_REVOCATIONS_PER_MINUTE: limit(config.revocationsPerMinute),
    KEYTURN_TOKENS_PER_MINUTE: limit(config.tokensPerMinute),
    KEYTURN_FAST_PATH: onOff(config.fastPath),
    KEYTURN_ACCESS_LOG: onOff(config.accessLog),
    KEYTURN_ALLOWED_HOSTS: list(config.allowedHosts),
    KEYTURN_TRUST_PROXY: list(config.trustProxy),
    KEYTURN_CLIENT_CERT_HEADER: optional(config.clientCertHeader, t('none')),
    KEYTURN_CLIENT_CERT_PROXY: list(config.clientCertProxy),
    KEYTURN_TLS_CERT: pem(tlsFiles.cert, t('none (plain HTTP)')),
    KEYTURN_TLS_KEY: tlsFiles.key === undefined ? t('none') : t('set'),
    KEYTURN_TLS_CLIENT_CA: pem(tlsFiles.clientCa, t('none')),
    KEYTURN_AUDIT_STREAMS: list(config.auditStreams.map(({ name }) => name)),
    KEYTURN_TRUST_NETWORKS: list(config.trusts.trustNetworks),
    KEYTURN_CLUSTER_URL: optional(config.trusts.clusterUrl, t('none')),
    KEYTURN_CLUSTER_FILES: code(config.trusts.clusterFiles),
    KEYTURN_DIALECTS: list([...config.dialects]),
    KEYTURN_LOG_LEVEL: code(config.logLevel),
  };
}

/**
 * Returns the variable that set a value, and where the value comes from. With an embedded database, the root key is
 * generated in the data directory.
 */
function originOf({ given, databaseUrl }: Config, name: string): [variable: string, origin: VNode | string] {
  const set = given.find((variable) => variable === name || variable === `${name}_FILE`);
  if (set) return [set, set === name ? t('the environment') : t('a file named in the environment')];
  const isOwnKey = name === 'KEYTURN_ROOT_KEY' && databaseUrl === undefined;
  return [name, html`<span class="muted">${isOwnKey ? t('the data directory') : t('the default')}</span>`];
}

/** Shows the path of a PEM file. Inline PEM text is not shown. */
function pem(value: string | undefined, without: string): VNode | string {
  if (value === undefined) return without;
  return value.includes('-----BEGIN') ? t('set') : html`<code>${value}</code>`;
}

/** Shows the address of a database without its user name, password and query. */
function store(address: string | undefined, without: string): VNode | string {
  if (address === undefined) return without;
  const [, scheme = '', hosts = '', path = ''] = /^([a-z+]+:\/\/)(?:[^/]*@)?([^/?#]*)(\/[^?#]*)?/i.exec(address) ?? [];
  return html`<code>${scheme}${hosts}${path}</code>`;
}
