import type { Exchange, TokenRecord } from './token-record.ts';

/** How a token was exchanged from another one (RFC 8693). */

/** Maximum number of exchanges from a token of a client to the one that is presented. */
export const maxExchanges = 5;

/** Returns the claim `act` (RFC 8693 §4.1): the latest actor, with the earlier ones inside of it. */
export function actorClaim([latest, ...earlier]: readonly Exchange[]): object | undefined {
  return latest && { sub: latest.actor, ...(earlier.length > 0 ? { act: actorClaim(earlier) } : {}) };
}

/** Returns the ids of the tokens that end together with this one: its own, and those that it was exchanged from. */
export function idsOf({ jti, chain }: Pick<TokenRecord, 'jti' | 'chain'>): readonly string[] {
  return chain ? [jti, ...chain.map(({ parent }) => parent)] : [jti];
}

/** Encodes the exchanges of a record. Their texts have no line breaks. */
export function encodeChain(chain: readonly Exchange[]): Buffer {
  const text = Buffer.from(chain.map(({ actor, parent }) => `${parent} ${actor}`).join('\n'));
  const length = Buffer.alloc(2);
  length.writeUInt16BE(text.length);
  return Buffer.concat([length, text]);
}

/** Reverses `encodeChain`, at the beginning of an authenticated body. @property rest what follows. */
export function decodeChain(body: Buffer): { chain: Exchange[]; rest: Buffer } {
  const end = 2 + body.readUInt16BE(0);
  const chain = body
    .toString('utf8', 2, end)
    .split('\n')
    .map((line) => {
      const [parent = '', ...actor] = line.split(' ');
      return { parent, actor: actor.join(' ') };
    });
  return { chain, rest: body.subarray(end) };
}
