import { isIP } from 'node:net';

/** Reads how people sign in. The functions read a variable, and report a wrong value. */
type Reader = {
  text(name: string): string | undefined;
  secret(name: string): string | undefined;
  list(name: string): string[];
  check(name: string, valid: boolean, expected: string): void;
};

/** The OpenID Provider of the deployment. */
export type SsoSettings = {
  issuer: string;
  clientId: string;
  clientSecret: string | null;
  /** The scopes of the authorization request. */
  scope: string;
  claim: string;
  /** Values of the claim, with names of permissions. */
  grants: readonly { value: string; permissions: readonly string[] }[];
  acrValues: readonly string[];
};

export type SignInSettings = {
  /** The provider of the deployment; undefined if there is none in the environment. */
  sso: SsoSettings | undefined;
  /** CIDRs of providers that are not on the public Internet. */
  ssoNetworks: readonly string[];
  /** The URL at which people reach the admin listener, without a trailing slash; undefined: as the request says. */
  adminUrl: string | undefined;
};

export function readSignInSettings({ text, secret, list, check }: Reader): SignInSettings {
  const [issuer, clientId, claim] = [
    text('KEYTURN_SSO_ISSUER'),
    text('KEYTURN_SSO_CLIENT_ID'),
    text('KEYTURN_SSO_CLAIM'),
  ];
  const clientSecret = secret('KEYTURN_SSO_CLIENT_SECRET') ?? null;
  const grants = readGrants(text('KEYTURN_SSO_GRANTS') ?? '');
  const ssoNetworks = list('KEYTURN_SSO_ALLOWED_NETWORKS');
  const adminUrl = text('KEYTURN_ADMIN_URL')?.replace(/\/$/, '');
  check('KEYTURN_SSO_ALLOWED_NETWORKS', ssoNetworks.every(isRange), 'a list of networks, such as 10.0.0.0/8');
  check('KEYTURN_ADMIN_URL', adminUrl === undefined || isOrigin(adminUrl), 'an http or https URL without a path');
  check('KEYTURN_SSO_GRANTS', grants !== undefined, `values and permissions, such as admins=all; auditors=audit:view`);
  const isPlain = issuer?.startsWith('http:') === true;
  check(
    'KEYTURN_SSO_ISSUER',
    issuer === undefined || isIssuer(issuer, ssoNetworks.length > 0),
    `an https URL without query and fragment${isPlain ? ', or http in KEYTURN_SSO_ALLOWED_NETWORKS' : ''}`,
  );
  check(
    'KEYTURN_SSO_CLIENT_ID',
    (issuer === undefined) === (clientId === undefined),
    'set together with KEYTURN_SSO_ISSUER',
  );
  const isOff = issuer === undefined || clientId === undefined;
  const scope = text('KEYTURN_SSO_SCOPE') ?? 'openid profile email';
  check('KEYTURN_SSO_SCOPE', /^openid( [\x21\x23-\x5b\x5d-\x7e]+)*$/.test(scope), 'scopes that begin with openid');
  const more = { scope, claim: claim ?? 'groups', grants: grants ?? [], acrValues: list('KEYTURN_SSO_ACR_VALUES') };
  return { sso: isOff ? undefined : { issuer, clientId, clientSecret, ...more }, ssoNetworks, adminUrl };
}

/** Reads `admins=all; auditors=audit:view,integrations:view`. Returns undefined if it is malformed. */
function readGrants(written: string): SsoSettings['grants'] | undefined {
  const entries = written.split(';').map((entry) => entry.trim());
  const grants = entries.filter(Boolean).map((entry) => {
    const at = entry.lastIndexOf('=');
    const permissions = entry
      .slice(at + 1)
      .split(/[\s,]+/)
      .filter(Boolean);
    return { value: entry.slice(0, Math.max(at, 0)).trim(), permissions };
  });
  return grants.every(({ value, permissions }) => value !== '' && permissions.length > 0) ? grants : undefined;
}

/** Returns whether a text can be the issuer of a provider (OpenID Connect Discovery 1.0 §3). */
export function isIssuer(value: string, mayBePlain: boolean): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, search, hash, username, password } = new URL(value);
  return (protocol === 'https:' || (mayBePlain && protocol === 'http:')) && !search && !hash && !username && !password;
}

function isOrigin(value: string): boolean {
  return URL.canParse(value) && /^https?:$/.test(new URL(value).protocol) && new URL(value).origin === value;
}

function isRange(range: string): boolean {
  const [address = '', prefix = '', more] = range.split('/');
  const version = isIP(address);
  return version > 0 && more === undefined && /^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128);
}
