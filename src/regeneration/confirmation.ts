import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { KeyRing } from '../credentials/key-ring.ts';

/** Lifetime of a review's confirmation, in seconds. */
export const confirmationSeconds = 600;

/**
 * Issues the confirmation of a review, which regenerating requires: an HMAC over the reviewed state and the time at
 * which it expires. Nothing is stored, so any process can check it.
 * @param state everything that must not have changed in between, including the owner.
 */
export function issueConfirmation(ring: KeyRing, state: unknown, now: number): string {
  const endsAt = Math.floor(now / 1_000) + confirmationSeconds;
  return `${ring.current}.${endsAt}.${sign(ring, ring.current, endsAt, state)?.toString('base64url')}`;
}

/** Returns whether the confirmation was issued for exactly this state and has not expired. */
export function confirms(ring: KeyRing, confirmation: string, state: unknown, now: number): boolean {
  const [version = '', end = '', mac = '', ...rest] = confirmation.split('.');
  if (rest.length > 0 || !/^\d{1,12}$/.test(end) || Number(end) * 1_000 <= now) return false;
  const expected = sign(ring, version, Number(end), state);
  const given = Buffer.from(mac, 'base64url');
  return expected !== undefined && given.length === expected.length && timingSafeEqual(given, expected);
}

function sign(ring: KeyRing, version: string, endsAt: number, state: unknown): Buffer | undefined {
  const key = ring.key('confirmation', version);
  const digest = createHash('sha256').update(JSON.stringify(state)).digest('hex');
  return key && createHmac('sha256', key).update(`${version}.${endsAt}.${digest}`).digest();
}
