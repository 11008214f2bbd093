import { createHmac, randomBytes } from 'node:crypto';
import { isSameMac } from '../credentials/signed-value.ts';

/** Signatures of the Standard Webhooks specification, version `v1`: HMAC-SHA-256 over id, timestamp and body. */

const prefix = 'whsec_';
const secretBytes = 32;

/** Generates a signing secret: `whsec_` and 256 random bits in base64. */
export function generateSigningSecret(): string {
  return prefix + randomBytes(secretBytes).toString('base64');
}

/** Returns the key of a secret, or undefined if it is not one: 24 to 64 bytes in base64, with or without the prefix. */
function keyOf(secret: string): Buffer | undefined {
  const encoded = secret.startsWith(prefix) ? secret.slice(prefix.length) : secret;
  const key = Buffer.from(encoded, 'base64');
  return key.length >= 24 && key.length <= 64 ? key : undefined;
}

/** Returns whether a text is a signing secret. */
export function isSigningSecret(secret: string): boolean {
  return secret.startsWith(prefix) && keyOf(secret) !== undefined;
}

export type SignedHeaders = { 'webhook-id': string; 'webhook-timestamp': string; 'webhook-signature': string };

/**
 * Returns the headers of one attempt.
 * @param secrets all that are live. A receiver that knows any of them can verify the signature.
 * @param at the time of the attempt, in milliseconds.
 */
export function signWebhook(secrets: readonly string[], id: string, at: number, body: string): SignedHeaders {
  const timestamp = String(Math.floor(at / 1_000));
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': secrets.map((secret) => `v1,${macOf(secret, id, timestamp, body)}`).join(' '),
  };
}

/** How far the timestamp may be from the receiver's time, in seconds. */
const toleranceSeconds = 300;

/** Returns why what was received is not from the holder of the secret, or undefined if it is. */
export function refusalOfWebhook(
  secret: string,
  headers: { [Name in keyof SignedHeaders]?: string | undefined },
  body: string,
  now: number,
): string | undefined {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } = headers;
  if (!id || !timestamp || !signature) return 'a header is missing: webhook-id, webhook-timestamp or webhook-signature';
  if (!/^\d{1,12}$/.test(timestamp)) return 'webhook-timestamp is not a number';
  if (Math.abs(now / 1_000 - Number(timestamp)) > toleranceSeconds)
    return 'webhook-timestamp is not of the last minutes';
  const expected = Buffer.from(macOf(secret, id, timestamp, body));
  const isSigned = signature
    .split(' ')
    .some((each) => each.startsWith('v1,') && isSameMac(expected, Buffer.from(each.slice(3))));
  return isSigned ? undefined : 'no signature is of this secret';
}

function macOf(secret: string, id: string, timestamp: string, body: string): string {
  return createHmac('sha256', keyOf(secret) ?? '')
    .update(`${id}.${timestamp}.${body}`)
    .digest('base64');
}
