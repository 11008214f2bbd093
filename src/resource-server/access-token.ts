/** A live access token: who calls, and what they may do. */
export type AccessToken = {
  /** The client that the token was issued to (`client_id`). */
  clientId: string;
  /** `sub`; for client credentials the client itself (RFC 9068 §2.2). */
  subject: string;
  scope: readonly string[];
  /** The access key that it was obtained with, and that key's contact. */
  accessKeyId: string | undefined;
  contactId: string | undefined;
  jti: string | undefined;
  /** Seconds since the epoch. */
  issuedAt: number;
  /** Seconds since the epoch. */
  expiresAt: number;
  /** Every claim, as the JWT or the introspection answer (RFC 7662 §2.2) has it. */
  claims: Readonly<Record<string, unknown>>;
};

/** @throws {TypeError} when what the server said is not what RFC 7662 or RFC 9068 describe. */
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
