import { createHmac, hash, randomBytes, randomInt } from 'node:crypto';
import { isSameMac } from '../credentials/signed-value.ts';
import type { Handover } from './handover-store.ts';

/** Generates the value in a link: 256 random bits in base64url. The database has only its SHA-256. */
export function generateLink(): string {
  return randomBytes(32).toString('base64url');
}

export function digestOfLink(link: string): Buffer {
  return hash('sha256', link, 'buffer');
}

const digits = 8;

/** Generates the code that proves an e-mail address: eight digits, which can be read out on the phone. */
export function generateCode(): string {
  return String(randomInt(10 ** digits)).padStart(digits, '0');
}

/**
 * Returns the stored form of a code. Its key is the value in the link, which the database does not have, so that the few
 * possible codes cannot be tried on the database.
 */
export function verifierOfCode(link: string, code: string): Buffer {
  return createHmac('sha256', link).update(code).digest();
}

/** Time for which a code that was sent by e-mail is valid. */
const codeLifetimeMs = 10 * 60_000;

/** Returns whether there is a code that can be entered. One that an operator passes on is valid as long as the link. */
export function hasValidCode({ code, codeFrom, codeSentAt }: Handover, now: number): boolean {
  return code !== null && (codeFrom === 'operator' || now < Number(codeSentAt) + codeLifetimeMs);
}

/** Compares a code that a person has typed, perhaps in groups of digits, in constant time. */
export function isRightCode({ code }: Pick<Handover, 'code'>, link: string, typed: string): boolean {
  return isSameMac(code ?? undefined, verifierOfCode(link, typed.replace(/[\s-]/g, '')));
}
