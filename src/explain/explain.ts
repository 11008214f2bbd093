import { asServedKey } from '../access-keys/access-key-cache.ts';
import { findKnownAccessKey } from '../access-keys/access-key-store.ts';
import { asServed } from '../clients/client-cache.ts';
import { findKnownClient } from '../clients/client-store.ts';
import { isWellFormedClientId, isWellFormedSecret } from '../credentials/credential-format.ts';
import { currentOf } from '../credentials/secret.ts';
import { isUuid } from '../text/is-uuid.ts';
import { isJwtShaped } from '../tokens/jwt-access-token.ts';
import type { TokenDeps } from '../tokens/token-rules.ts';
import {
  type CredentialDeps,
  explainAccessKey,
  explainClient,
  explainClientSecret,
  explainMissingClient,
} from './explain-credential.ts';
import { explainRequest } from './explain-request.ts';
import { explainToken } from './explain-token.ts';
import { type Explanation, explanationOf, finding } from './explanation.ts';

/**
 * A value to explain.
 * @property resource the identifier of the resource server that would introspect a token.
 * @property clientId the client that would present an access key.
 */
type Asked = { value: string; resource?: string | undefined; clientId?: string | undefined };

/**
 * Explains why a token, an access key, a client secret, a client or a request is accepted or was rejected, by the rules
 * that decide it. The answer never contains the value.
 */
export async function explain(deps: CredentialDeps & TokenDeps, asked: Asked): Promise<Explanation> {
  const { value, resource, clientId } = asked;
  if (isWellFormedSecret(value, 'kta_') || isJwtShaped(value)) return await explainToken(deps, value, resource);
  if (isWellFormedSecret(value, 'ktk_')) {
    return await explainAccessKey(deps, await deps.accessKeys.findRecentByValue(value), clientId);
  }
  if (isWellFormedSecret(value, 'kts_')) return await explainClientSecret(deps, value);
  if (isWellFormedSecret(value, 'kto_')) {
    const text = 'This is an operator token. It works for the admin API and the console only.';
    return explanationOf('unknown', [finding('operator_token', 'unknown', text)]);
  }
  const known = await findKnownClient(deps.database, value);
  if (known) return await explainClient(deps, asServed(known), value);
  if (isWellFormedClientId(value)) return await explainMissingClient(deps, value);
  if (/^kt[akso]_/.test(value)) {
    const text =
      'The value begins like a credential of Keyturn, but its length or its checksum is wrong. It was cut off, mistyped or changed.';
    return explanationOf('unknown', [finding('malformed', 'rejected', text)]);
  }
  const key = isUuid(value) ? await findKnownAccessKey(deps.database, value) : undefined;
  const secret = key && currentOf(key.secrets);
  if (key && secret) return await explainAccessKey(deps, { ...asServedKey(key), secret }, clientId);
  return await explainRequest(deps, value, new Date(deps.clock()));
}
