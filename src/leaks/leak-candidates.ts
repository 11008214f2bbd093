import { leakPattern } from './leak-pattern.ts';

export type LeakCandidates = {
  /** Values in the form of a secret, key or token that Keyturn generates. */
  own: ReadonlySet<string>;
  /** Values in the form of a JWT of any issuer. */
  jwts: ReadonlySet<string>;
  /**
   * Values that could be an imported secret: 16 to 256 printable characters between characters that often surround a
   * value.
   */
  foreign: ReadonlySet<string>;
};

const jwtPattern = /eyJ[\w-]{8,2000}\.eyJ[\w-]{8,6000}\.[\w-]{16,1000}/g;
const basicPattern = /\bbasic[\s:=]+([A-Za-z0-9+/_-]{8,1024}={0,2})/gi;
const surrounding = /[\s"'`=:,;&<>()[\]{}|]/;
/** Maximum number of parts of one imported secret, which are separated by surrounding characters. */
const partsOfOne = 4;

/**
 * Finds possible credentials in a text, including percent-encoded ones (`%5F`) and those inside HTTP Basic, whose two
 * parts are form-encoded themselves (RFC 6749 §2.3.1).
 */
export function leakCandidates(text: string): LeakCandidates {
  const own = new Set<string>();
  const jwts = new Set<string>();
  const foreign = new Set<string>();
  for (const reading of readingsOf(text)) {
    for (const [value] of reading.matchAll(leakPattern)) own.add(value);
    for (const [value] of reading.matchAll(jwtPattern)) jwts.add(value);
    for (const value of partsOf(reading)) foreign.add(value);
  }
  return { own, jwts, foreign };
}

/** Returns the text and its decoded forms. */
function readingsOf(text: string): string[] {
  const plain = [text, percentDecode(text), percentDecode(percentDecode(text))];
  const basic = plain.flatMap((each) =>
    [...each.matchAll(basicPattern)].map(([, value = '']) => Buffer.from(value, 'base64').toString('utf8')),
  );
  return [...new Set([...plain, ...basic, ...basic.map(percentDecode)])];
}

/** Decodes valid percent-encoded characters and leaves the rest unchanged. */
function percentDecode(text: string): string {
  return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (encoded) => {
    try {
      return decodeURIComponent(encoded);
    } catch {
      return encoded;
    }
  });
}

function* partsOf(text: string): Generator<string> {
  const bounds = [-1];
  for (let at = 0; at < text.length; at++) if (surrounding.test(text[at] ?? '')) bounds.push(at);
  bounds.push(text.length);
  for (let start = 0; start < bounds.length - 1; start++) {
    const from = (bounds[start] ?? 0) + 1;
    for (let end = start + 1; end <= start + partsOfOne && end < bounds.length; end++) {
      const part = text.slice(from, bounds[end]);
      if (part.length > 256 || /\s/.test(part)) break;
      if (part.length >= 16) yield part;
    }
  }
}
