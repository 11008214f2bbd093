/** A pair of APIs: the first may exchange tokens that it received for tokens of the second. */
export type ExchangePair = { from: string; to: string };

/** The functions of the configuration that read a variable and report a problem. */
type Reader = {
  list(name: string): string[];
  check(name: string, valid: boolean, expected: string): void;
};

/** Reads which API may exchange the tokens that it received for tokens of which other API. */
export function readExchangePairs({ list, check }: Reader): ExchangePair[] {
  const name = 'KEYTURN_TOKEN_EXCHANGES';
  const pairs = list(name).map((text) => /^([^=\s]+)=([a-z][a-z0-9+.-]*:[^=\s]+)$/i.exec(text));
  check(name, !pairs.includes(null), 'a list of pairs of resources such as https://a.example=https://b.example');
  return pairs.flatMap((pair) => (pair ? [{ from: pair[1] ?? '', to: pair[2] ?? '' }] : []));
}
