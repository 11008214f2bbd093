/** A live access token: its client and its permissions. */
export type AccessToken = {
  /** The client that the token was issued to (`client_id`). */
  clientId: string;
  /** `sub`; for client credentials the client itself (RFC 9068 §2.2). */
  subject: string;
  scope: readonly string[];
  /** The access key that the token was obtained with, and that key's contact. */
  accessKeyId: string | undefined;
  contactId: string | undefined;
  jti: string | undefined;
  /** Seconds since 1970-01-01 UTC. */
  issuedAt: number;
  /** Seconds since 1970-01-01 UTC. */
  expiresAt: number;
  /** All claims of the JWT or the introspection answer (RFC 7662 §2.2). */
  claims: Readonly<Record<string, unknown>>;
};

/** @throws {TypeError} if the claims do not conform to RFC 7662 or RFC 9068. */
export function toAccessToken(claims: Readonly<Record<string, unknown>>): AccessToken {
  const { client_id: clientId, exp, iat } = claims;
  if (typeof clientId !== 'string' || typeof exp !== 'number') throw new TypeError('client_id or exp is missing');
  return {
    clientId,
    subject: optionalText(claims['sub']) ?? clientId,
    scope: (optionalText(claims['scope']) ?? '').split(' ').filter(Boolean),
    accessKeyId: optionalText(claims['access_key_id']),
    contactId: optionalText(claims['contact_id']),
    jti: optionalText(claims['jti']),
    issuedAt: typeof iat === 'number' ? iat : 0,
    expiresAt: exp,
    claims,
  };
}

function optionalText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
