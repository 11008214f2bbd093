import type { ReadClient } from './clients-file.ts';
import { inside, isMembers, keysOf, listOf, type Members, privateKeyJwt, take } from './members.ts';
import { readRegistration } from './read-registration.ts';

/** Clients of services, as their APIs list them. Each is translated into the names of RFC 7591. */

/** Amazon Cognito: `aws cognito-idp describe-user-pool-client`. */
export function readCognito(client: Members): ReadClient {
  const inner = take(client, 'userpoolclient').userpoolclient;
  const { allowedoauthflows, allowedoauthscopes, accesstokenvalidity, tokenvalidityunits, rest } = take(
    isMembers(inner) ? inner : client,
    'allowedoauthflows',
    'allowedoauthscopes',
    'accesstokenvalidity',
    'tokenvalidityunits',
  );
  // Hours are the default unit.
  const unit = inside({ tokenvalidityunits }, 'tokenvalidityunits')['AccessToken'] ?? 'hours';
  if (!('CreationDate' in rest) && allowedoauthflows === undefined && !('ClientSecret' in rest)) {
    return { reasons: ['it is only a name; export it with `aws cognito-idp describe-user-pool-client`'] };
  }
  return readRegistration({
    ...rest,
    grant_types: allowedoauthflows ?? [],
    scope: allowedoauthscopes,
    access_token_lifetime: accesstokenvalidity && `${accesstokenvalidity}${String(unit).charAt(0)}`,
  });
}

/** Okta: `GET /api/v1/apps`. Scopes that it grants are not in that list. */
export function readOkta(client: Members): ReadClient {
  const { id, label, credentials, settings, scope, rest } = take(
    client,
    'id',
    'label',
    'credentials',
    'settings',
    'scope',
    'name',
  );
  const secret = inside(credentials, 'oauthClient');
  const { network, jwks, ...oauth } = inside(settings, 'oauthClient');
  if (typeof secret['client_id'] !== 'string') return { skipped: String(id ?? 'an app without OAuth') };
  const keys = listOf(isMembers(jwks) ? jwks['keys'] : undefined);
  // Okta refuses keys that were deactivated.
  const active = keys.filter((key) => !isMembers(key) || (key['status'] ?? 'ACTIVE') === 'ACTIVE');
  const place = inside({ network }, 'network')['connection'] ?? 'ANYWHERE';
  return readRegistration(
    {
      ...take(rest, 'created', 'lastupdated', 'features', 'visibility', 'accessibility').rest,
      ...oauth,
      ...take(secret, 'autokeyrotation').rest,
      ...(keys.length > 0 ? { jwks: { keys: active } } : {}),
      client_name: label,
      scope,
    },
    {
      unmet: place === 'ANYWHERE' ? [] : ['it may be used only from certain networks'],
      notes:
        scope === undefined ? ['the list has no scopes; add them as `scope`, or with `keyturn clients update`'] : [],
    },
  );
}

/** Microsoft Entra ID: `az ad app list`. Never contains secrets. */
export function readEntra(client: Members): ReadClient {
  const passwords = listOf(client['passwordCredentials']);
  const keys = listOf(client['keyCredentials']).filter(isMembers);
  const { appId, displayName, scope, ...rest } = client;
  if (passwords.length + keys.length === 0 && typeof appId === 'string') return { skipped: appId };
  const [password] = passwords.filter(isMembers);
  const certificates = keys.map(({ key }) => ({ certificate: typeof key === 'string' ? key : '' }));
  const proof =
    passwords.length > 0
      ? { client_secret: password?.['secretText'] ?? undefined }
      : { ...privateKeyJwt, jwks: keysOf(certificates) };
  const both = passwords.length > 0 && keys.length > 0;
  return readRegistration(
    {
      ...rest,
      client_id: appId,
      client_name: displayName,
      scope,
      enabled: !client['disabledByMicrosoftStatus'],
      ...proof,
      ...(proof.client_secret ? { client_secret_expires_at: password?.['endDateTime'] } : {}),
    },
    {
      notes: [
        ...(scope === undefined
          ? ['the list has no scopes; add them as `scope`, or with `keyturn clients update`']
          : []),
        ...(both ? ['it has secrets and certificates; only its secret is imported'] : []),
      ],
    },
  );
}

/** ZITADEL: service users of `POST /v2/users` or an export, which have no secrets. Apps have other grants. */
export function readZitadel(client: Members): ReadClient {
  const { user, ...given } = client;
  const inner = isMembers(user) ? { ...given, ...user } : given;
  const { userid, id, username, state, machine, name, rest } = take(
    inner,
    'userid',
    'id',
    'username',
    'state',
    'machine',
    'name',
  );
  const isService = isMembers(machine) || (isMembers(user) && !('human' in inner));
  if (!isService) return { skipped: String(username ?? userid ?? id ?? name ?? 'an app') };
  const status = typeof state === 'string' ? state.replace(/^USER_STATE_/, '').toLowerCase() : 'active';
  return readRegistration({
    ...take(rest, 'accesstokentype', 'haspassword').rest,
    client_id: username,
    client_name: (isMembers(machine) ? machine['name'] : name) || undefined,
    description: isMembers(machine) ? machine['description'] : undefined,
    status: status === 'locked' || status === 'deleted' ? 'disabled' : status,
  });
}
