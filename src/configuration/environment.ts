import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';

type Environment = Readonly<Record<string, string | undefined>>;

const address = /^(tcp|udp|sctp):\/\/(\[[\da-f:.]+\]|[\da-f:.]+):\d{1,5}$/i;
const containerName = /^(\/[\w.-]+){2,}$/;
/** Suffixes of the variables that identify a link, with a check of the value, because a name alone is weak evidence. */
const evidence: readonly [suffix: string, isProof: (value: string) => boolean][] = [
  ['_SERVICE_HOST', (value) => isIP(value) > 0],
  ['_PORT', (value) => address.test(value)],
  ['_NAME', (value) => containerName.test(value)],
];
const numbers = /^_SERVICE_PORT(_\w+)?$|^_PORT_\d+_(TCP|UDP|SCTP)_PORT(_START|_END)?$/;
const addresses = /^_PORT(_\d+_(TCP|UDP|SCTP)(_START|_END)?)?$/;
const others = /^_SERVICE_HOST$|^_PORT_\d+_(TCP|UDP|SCTP)_(PROTO|ADDR)$/;

/**
 * Returns the environment without the variables that Kubernetes and Docker add for a Service or a linked container
 * whose name begins with `keyturn`. Their names share our prefix, and `KEYTURN_PORT` and `KEYTURN_ADMIN_PORT` are also
 * names of our own variables.
 *
 * Source: Kubernetes, "Environment variables" of "Service"; Docker, "Legacy container links".
 */
export function withoutPlatformLinks(environment: Environment): Environment {
  const read = (name: string) => environment[name]?.trim() ?? '';
  const names = Object.keys(environment).filter((name) => name.startsWith('KEYTURN_'));
  const links = names.flatMap((name) =>
    evidence
      .filter(([suffix, isProof]) => name.endsWith(suffix) && isProof(read(name)))
      .map(([suffix]) => name.slice(0, -suffix.length)),
  );
  const isAdded = (name: string) =>
    links.some(
      (link) => name.startsWith(link) && isLinkVariable(name.slice(link.length), read(name), read(`${link}_NAME`)),
    );
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !isAdded(name)));
}

/**
 * Returns whether a variable belongs to a link.
 * @param linkedContainer value of the link's `_NAME`. Only Docker sets it, and then also copies the container's own
 * variables.
 */
function isLinkVariable(suffix: string, value: string, linkedContainer: string): boolean {
  if (addresses.test(suffix)) return address.test(value);
  if (numbers.test(suffix)) return /^\d{1,5}$/.test(value);
  if (suffix === '_NAME' || suffix.startsWith('_ENV_')) return containerName.test(linkedContainer);
  return others.test(suffix);
}

/** Returns variables with Keyturn's prefix that do not exist. @param others exist, but are not suggested. */
export function unknownVariables(
  environment: Environment,
  known: readonly string[],
  others: readonly string[],
): string[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith('KEYTURN_') && !known.includes(name) && !others.includes(name))
    .map((name) => `${name} is not a known variable${suggestionFor(name, known)}`);
}

/** Returns the end of an error that suggests the known name nearest to a misspelt one; empty if none is near. */
export function suggestionFor(name: string, known: readonly string[]): string {
  const [nearest, distance] = known
    .map((each) => [each, editDistance(name, each)] as const)
    .reduce((best, candidate) => (candidate[1] < best[1] ? candidate : best));
  return distance <= 4 ? `; did you mean ${nearest}?` : '';
}

/** Counts the insertions, deletions and substitutions that turn one text into another (Levenshtein distance). */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const substitution = (previous[column - 1] ?? 0) + (from[row - 1] === to[column - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[to.length] ?? 0;
}

type Settings = { databaseUrl: string | undefined; rootKey: string | undefined; issuer: string; dataDir: string };

/**
 * Returns warnings about valid settings that usually mean that another one was forgotten. Each text names the variable
 * and what to do.
 */
export function configWarnings({ databaseUrl, rootKey, issuer, dataDir }: Settings): string[] {
  if (databaseUrl) return [];
  const embedded = `is set, but DATABASE_URL is not: all data is stored in the embedded database in ${dataDir}`;
  return [
    ...(rootKey ? [`KEYTURN_ROOT_KEY ${embedded}`] : []),
    ...(issuer.startsWith('https:') ? [`KEYTURN_ISSUER ${embedded}, with an https issuer`] : []),
  ].map((warning) => `${warning}. Set DATABASE_URL for production.`);
}

/**
 * Reports variables that are set but empty. Usually a secret was not filled in, and the default would start an empty
 * server.
 */
export function emptyVariables(
  environment: Readonly<Record<string, string | undefined>>,
  variables: readonly string[],
): string[] {
  return variables
    .filter((name) => environment[name] !== undefined && environment[name].trim() === '')
    .map((name) => `${name} is set but empty: give it a value, or unset it to use its default`);
}

/** Reads a secret that an orchestrator mounts as a file. Reports a file that is empty or cannot be read as a problem. */
export function readSecretFile(name: string, path: string, problems: string[]): string | undefined {
  try {
    const content = readFileSync(path, 'utf8').trim();
    if (content === '') problems.push(`${name} names a file that is empty: ${path}`);
    return content || undefined;
  } catch (error) {
    // The message of the error has the path, in whose place people also write the secret itself.
    problems.push(`${name} names a file that cannot be read (${(error as NodeJS.ErrnoException).code})`);
    return undefined;
  }
}
