import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { KeyRing } from '../credentials/key-ring.ts';

/** How long the operator may think about a review. */
export const confirmationSeconds = 600;

/**
 * What a review hands out and regenerating asks back: an HMAC over the state that was shown and when it ends to count. Nothing is
 * stored, so any process can check what any other has handed out.
 * @param state whatever must not have changed in between; the owner is part of it.
 */
export function issueConfirmation(ring: KeyRing, state: unknown, now: number): string {
  const endsAt = Math.floor(now / 1_000) + confirmationSeconds;
  return `${ring.current}.${endsAt}.${sign(ring, ring.current, endsAt, state)?.toString('base64url')}`;
}

/** Whether it was handed out for this very state, and not too long ago. */
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
