import { lettersOf, type ReadClient, type Surroundings } from './clients-file.ts';
import { isMembers, type Members } from './members.ts';
import { readCognito, readEntra, readOkta, readZitadel } from './read-cloud-client.ts';
import { readAuthelia, readDex, readIdentityServer } from './read-configured-client.ts';
import { isKeycloakClient, readKeycloakClient } from './read-keycloak-client.ts';
import { readRegistration } from './read-registration.ts';

/** The form in which a server exports its clients. */
type ClientFormat = {
  name: string;
  /** Returns whether a client has this form. @param list the members of the file that lead to it. */
  fits(client: Members, list: string): boolean;
  /** Reads a client. A format with other names than RFC 7591 translates them and leaves the rest to `readRegistration`. */
  read(client: Members, surroundings: Surroundings): ReadClient;
};

/** Every format, the most specific ones first. The last one takes all other clients. */
const formats: readonly ClientFormat[] = [
  { name: 'Keycloak', fits: isKeycloakClient, read: readKeycloakClient },
  { name: 'IdentityServer', fits: has('allowedgranttypes', 'clientsecrets'), read: readIdentityServer },
  { name: 'Cognito', fits: has('userpoolid', 'userpoolclient'), read: readCognito },
  { name: 'Okta', fits: has('signonmode'), read: readOkta },
  { name: 'Entra', fits: (client) => 'appId' in client, read: readEntra },
  {
    name: 'ZITADEL',
    fits: has('machine', 'human', 'apiconfig', 'oidcconfig', 'samlconfig', 'user'),
    read: readZitadel,
  },
  {
    name: 'Authelia',
    fits: (client, list) => list.endsWith('oidc.clients') || has('authorizationpolicy')(client),
    read: readAuthelia,
  },
  {
    name: 'dex',
    fits: (client, list) => list === 'staticclients' || ('redirectURIs' in client && 'id' in client),
    read: readDex,
  },
  { name: 'RFC 7591', fits: () => true, read: readRegistration },
];

/** Reads a client in the format that it has. @param list the members of the file that lead to it. */
export function readForeignClient(value: unknown, list: string, surroundings: Surroundings): ReadClient {
  if (!isMembers(value)) return { reasons: ['it is not a client object'] };
  const format = formats.find(({ fits }) => fits(value, list)) as ClientFormat;
  return format.read(value, surroundings);
}

function has(...names: string[]): (client: Members) => boolean {
  return (client) => Object.keys(client).some((name) => names.includes(lettersOf(name)));
}
