import { type NotASecret, recognizeNotASecret } from './not-a-secret.ts';

/** Prefixes of Keyturn's own credentials, and of values that scanners for leaked secrets take for them. */
const ownPrefix = /^kt[isako]_/;
/**
 * Excludes the colon, at which HTTP Basic splits (RFC 7617 §2), and slashes, quotes and spaces, so that an ID is one
 * word in a URL, a log and a shell.
 */
const foreignIdPattern = /^[A-Za-z0-9][A-Za-z0-9._~@-]{2,127}$/;
/** Visible ASCII characters (RFC 6749 Appendix A.2 VSCHAR) without the space. */
const foreignSecretPattern = /^[\x21-\x7e]{16,256}$/;
const reasons: Record<NotASecret, string> = {
  mask: 'the secret is masked: export it with secrets',
  placeholder: 'the secret is a placeholder: put in the secret that it stands for',
  hash: 'the secret is a hash of itself, so it cannot be taken over',
  hash_like: 'the secret looks like a hash of itself; if the client sends exactly this text, use --accept-hash-like',
};

const minimumBits = 80;
/** Bits for a word from a dictionary, about as much as two random characters. */
const bitsPerWord = 10;
const shortestRepeat = 3;
const commonWords =
  /password|passwort|passw0rd|secret|client|admin|change-?_?me|letmein|welcome|example|default|oauth|token|qwerty|qwertz|asdfgh|zxcvbn|test|demo|prod|acme|20\d\d/gi;

/** Returns whether a value can be the Client ID of an imported client. Keyturn's own prefixes are excluded. */
export function isForeignClientId(value: string): boolean {
  return value.length <= 128 && foreignIdPattern.test(value) && !ownPrefix.test(value);
}

/**
 * Returns whether a value can be the secret of an imported client. Keyturn's own prefixes are excluded, so that values
 * with them always have a checksum.
 */
export function isForeignSecret(value: string): boolean {
  return value.length <= 256 && foreignSecretPattern.test(value) && !ownPrefix.test(value);
}

/**
 * Returns why a secret from another server cannot be kept, without any part of the secret, or undefined if it can be
 * kept.
 * @param known strings of the client that are not secret, such as its Client ID and name.
 * @param acceptHashLike whether a value with the length and alphabet of a bare hash is accepted as a secret.
 */
export function weaknessOf(secret: string, known: readonly string[], acceptHashLike: boolean): string | undefined {
  const kind = recognizeNotASecret(secret);
  if (kind && !(kind === 'hash_like' && acceptHashLike)) return reasons[kind];
  if (ownPrefix.test(secret)) return 'the secret begins like one of ours';
  if (secret.length < 16 || secret.length > 256) return 'the secret must have 16 to 256 characters';
  if (!isForeignSecret(secret)) return 'the secret must be of printable ASCII characters without spaces';
  const bits = Math.floor(estimateBits(secret, known));
  return bits < minimumBits
    ? `the secret is too easy to guess: about ${bits} bits, ${minimumBits} are needed`
    : undefined;
}

/**
 * Estimates a lower bound of a secret's entropy: the bits per character (from the kinds of characters that occur, and
 * how unevenly) times the number of unpredictable characters. Known strings and common words count as one word each;
 * characters that continue a repetition (`abcabc`) or a run (`aaaa`, `4321`) count as zero.
 */
function estimateBits(secret: string, known: readonly string[]): number {
  let words = 0;
  let rest = secret;
  const countWord = () => {
    words += 1;
    return '';
  };
  const texts = known.flatMap((text) => [text, ...text.split(/[^A-Za-z0-9]+/)]).filter((text) => text.length > 3);
  for (const text of texts.sort((one, other) => other.length - one.length)) {
    rest = rest.replaceAll(new RegExp(text.replace(/[^\w]/g, '\\$&'), 'gi'), countWord);
  }
  rest = rest.replace(commonWords, countWord);
  return words * bitsPerWord + countNews(rest.toLowerCase()) * bitsPerCharacter(rest);
}

/** Returns the number of characters that do not follow from those before them. */
function countNews(text: string): number {
  let news = 0;
  for (let at = 0; at < text.length; at++) {
    const isRepeat = at >= shortestRepeat && text.slice(0, at).includes(text.slice(at - shortestRepeat + 1, at + 1));
    const step = text.charCodeAt(at) - text.charCodeAt(at - 1);
    const isRun = at >= 2 && Math.abs(step) <= 1 && step === text.charCodeAt(at - 1) - text.charCodeAt(at - 2);
    if (!isRepeat && !isRun) news += 1;
  }
  return news;
}

function bitsPerCharacter(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let observed = 0;
  for (const count of counts.values()) observed -= (count / text.length) * Math.log2(count / text.length);
  return Math.min(observed, Math.log2(alphabetSize(text)));
}

function alphabetSize(text: string): number {
  if (/^[0-9a-f-]*$|^[0-9A-F-]*$/.test(text)) return /^[0-9-]*$/.test(text) ? 10 : 16;
  const kinds = [
    [/[0-9]/, 10],
    [/[a-z]/, 26],
    [/[A-Z]/, 26],
    [/[^0-9A-Za-z]/, 32],
  ] as const;
  return kinds.reduce((size, [kind, adds]) => size + (kind.test(text) ? adds : 0), 0);
}
