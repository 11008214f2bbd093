import { CommandEnd } from '../terminal.ts';
import { type FileContent, type FoundClient, lettersOf, type Surroundings } from './clients-file.ts';
import { createJsonScanner, type JsonScanner, type Span, UnreadableJson } from './json-scanner.ts';
import { isMembers } from './members.ts';

/** Members that contain a list of clients, in the order in which they are searched for, without case and punctuation. */
const lists = [
  'clients',
  'staticclients',
  'userpoolclients',
  'machineusers',
  'items',
  'data',
  'result',
  'value',
  'applications',
];
/** Members that contain such a list or a client further down. */
const wrappers = ['identityproviders', 'oidc', 'identityserver', 'userpoolclient', 'orgs'];
/** Members of which every client has one. */
const ids = ['clientid', 'appid', 'id', 'username'];
const grantLists = ['clientgrants'];
const maxDepth = 4;

/**
 * Finds the clients in a JSON text: a list, a response of an API, one or several Keycloak realms, a configuration file,
 * one client, or one JSON value after the other. Reads one client at a time.
 * @param isSource whether the text is the file itself, so that its lines can be named.
 * @throws {CommandEnd} 2 while the clients are read, if the text is not JSON. Messages name the position and never
 * contain a part of the text.
 */
export function findClients(text: string, { isSource }: { isSource: boolean }): FileContent {
  return {
    warnings: [],
    clients: function* () {
      this.warnings.length = 0;
      const lineAt = createLineCounter(text);
      const isByLine = isSource && isOneValuePerLine(text);
      const hasLines = isSource && text.trimEnd().includes('\n');
      let count = 0;
      const placeOf = (at: number) => {
        count += 1;
        if (isByLine) return `line ${lineAt(at)}`;
        return hasLines ? `client ${count} (line ${lineAt(at)})` : `client ${count}`;
      };
      const reading: Reading = { text, scanner: createJsonScanner(text), placeOf, warnings: this.warnings };
      try {
        if (isByLine) yield* clientsByLine(reading);
        else for (const span of reading.scanner.values()) yield* clientsOf(reading, span);
      } catch (error) {
        if (!(error instanceof UnreadableJson)) throw error;
        throw new CommandEnd(2, `error: The JSON cannot be read: ${positionOf(error, text)}.`);
      }
    },
  };
}

type Reading = { text: string; scanner: JsonScanner; placeOf: (at: number) => string; warnings: string[] };

/** Yields the clients of a file with one JSON value per line. A line that cannot be read is refused. */
function* clientsByLine(reading: Reading): Generator<FoundClient> {
  const { text, placeOf } = reading;
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    const first = start + (/\S/.exec(text.slice(start, end))?.index ?? end - start);
    start = end + 1;
    if (first >= end) continue;
    let found: FoundClient[];
    try {
      const line = createJsonScanner(text.slice(first, end));
      const [value, more] = [...line.values()];
      if (!value || more) throw new UnreadableJson(undefined);
      found = [
        ...clientsOf({ ...reading, text: text.slice(first, end), scanner: line, placeOf: () => placeOf(first) }, value),
      ];
    } catch (error) {
      if (!(error instanceof UnreadableJson)) throw error;
      found = [{ place: placeOf(first), reasons: ['the line is not JSON'] }];
    }
    yield* found;
  }
}

function* clientsOf(reading: Reading, span: Span, list = '', depth = 0): Generator<FoundClient> {
  const { text, scanner } = reading;
  const opening = text[span.start];
  if (opening === '[') {
    for (const element of scanner.elements(span.start)) {
      if (isContainer(reading, element)) yield* clientsOf(reading, element, list, depth + 1);
      else yield clientAt(reading, element, list, nothing);
    }
    return;
  }
  // JSON.parse names the position if the value is none.
  if (opening !== '{') return void scanner.parse(span);
  const members = membersOf(scanner, span);
  const found = lists.map((name) => members.find(({ letters, start }) => letters === name && text[start] === '['));
  const array = found.find((member) => member !== undefined);
  const path = (name: string) => (list ? `${list}.${name}` : name);
  if (array && !members.some(({ letters }) => letters === 'clientid')) {
    yield* clientsOfList(reading, members, array, path(array.letters));
    return;
  }
  const inner =
    depth < maxDepth
      ? members.filter(({ letters, start }) => wrappers.includes(letters) && '{['.includes(text[start] ?? ''))
      : [];
  if (inner.length > 0) {
    for (const member of inner) yield* clientsOf(reading, member, path(member.letters), depth + 1);
  } else if (members.some(({ letters }) => ids.includes(letters))) {
    yield clientAt(reading, span, list, nothing);
  }
}

/**
 * Reads one client. A client with a repeated member is refused, because another reader may have used the other value,
 * and one of the two could be a security requirement.
 */
function clientAt(reading: Reading, span: Span, list: string, surroundings: Surroundings): FoundClient {
  const { scanner, placeOf } = reading;
  const place = placeOf(span.start);
  const value = scanner.parse(span);
  if (repeatsMember(reading, span)) return { place, reasons: ['a member of it occurs twice'] };
  return { place, list, value, surroundings };
}

function repeatsMember(reading: Reading, { start }: Span, depth = 0): boolean {
  const { text, scanner } = reading;
  if (depth > maxDepth) return false;
  if (text[start] === '[') {
    return [...scanner.elements(start)].some((element) => repeatsMember(reading, element, depth + 1));
  }
  const members = text[start] === '{' ? [...scanner.members(start)] : [];
  const names = new Set(members.map(({ name }) => name));
  return names.size < members.length || members.some((member) => repeatsMember(reading, member, depth + 1));
}

type Member = Span & { name: string; letters: string };

function membersOf(scanner: JsonScanner, { start }: Span): Member[] {
  return [...scanner.members(start)].map((member) => ({ ...member, letters: lettersOf(member.name) }));
}

const nothing: Surroundings = { grants: new Map() };

function* clientsOfList(
  reading: Reading,
  members: readonly Member[],
  array: Member,
  list: string,
): Generator<FoundClient> {
  const { text, scanner, warnings } = reading;
  const grants = members.filter(({ letters }) => grantLists.includes(letters)).map((member) => scanner.parse(member));
  const surroundings = { grants: grantsByClient(grants.flat()) };
  let count = 0;
  for (const element of scanner.elements(array.start)) {
    count += 1;
    yield clientAt(reading, element, list, surroundings);
  }
  const scalars = members.filter(({ start }) => !'{['.includes(text[start] ?? ''));
  const page = pageProblem(Object.fromEntries(scalars.map((one) => [one.name, scanner.parse(one)])), count);
  if (page) warnings.push(`The file ${page}. Export the other pages too. Each can be imported separately.`);
  const policies = members.find(({ letters }) => letters === 'clientpolicies');
  const names = policies ? enabledPolicies(scanner.parse(policies)) : [];
  if (names.length > 0) {
    warnings.push(
      `The realm has client policies, which are not imported: ${names.join(', ')}. If they demand DPoP, certificates or certain ways of authentication, add these demands to the clients.`,
    );
  }
}

/** Returns whether an element of a list is itself an object with a list of clients, as in a file of several realms. */
function isContainer({ text, scanner }: Reading, span: Span): boolean {
  const { start, end } = span;
  if (text[start] !== '{' || !/"(?:clients|machineUsers)"\s*:\s*\[/.test(text.slice(start, end))) return false;
  const members = membersOf(scanner, span);
  return (
    members.some(({ letters, start: at }) => lists.includes(letters) && text[at] === '[') &&
    !members.some(({ letters }) => letters === 'clientid')
  );
}

/** Returns the scopes that Auth0's client grants allow, by Client ID or name of the client. */
function grantsByClient(grants: readonly unknown[]): Surroundings['grants'] {
  const found: Map<string, { audience: string; scope: string[] }[]> = new Map();
  for (const grant of grants) {
    if (!isMembers(grant)) continue;
    const { client_id: client, audience, scope, subject_type: subject } = grant;
    if (typeof client !== 'string' || typeof audience !== 'string' || subject === 'user') continue;
    const words = Array.isArray(scope) ? scope.filter((one) => typeof one === 'string') : [];
    found.set(client, [...(found.get(client) ?? []), { audience, scope: words }]);
  }
  return found;
}

function enabledPolicies(value: unknown): string[] {
  const policies = isMembers(value) && Array.isArray(value['policies']) ? value['policies'] : [];
  return policies.flatMap((policy) => {
    if (!isMembers(policy) || policy['enabled'] !== true) return [];
    const name = policy['name'];
    return typeof name === 'string' && /^[\w .-]{1,60}$/.test(name) ? [name] : ['a policy'];
  });
}

/**
 * Detects a response that is not the last page: Auth0 sends `total`, Hydra `is_last_page`, others a token for the next
 * page.
 */
function pageProblem(json: Record<string, unknown>, count: number): string | undefined {
  const { total, is_last_page: isLast } = json;
  if (typeof total === 'number' && total > count) return `has ${count} of ${total} clients`;
  const next = ['next_page_token', 'next_cursor', 'next', 'nextPageToken', 'NextToken', '@odata.nextLink'];
  const hasNext = isLast !== true && next.some((name) => (json[name] ?? '') !== '');
  return isLast === false || hasNext ? `is one page of several, with ${count} of the clients` : undefined;
}

function isOneValuePerLine(text: string): boolean {
  const [first = '', second = ''] = text
    .trimStart()
    .slice(0, 1_000_000)
    .split('\n', 200)
    .filter((line) => line.trim() !== '');
  if (!second.trimStart().startsWith('{')) return false;
  try {
    return isMembers(JSON.parse(first));
  } catch {
    return false;
  }
}

/** Returns a function that gives the number of the line of an offset. Offsets must not decrease. */
function createLineCounter(text: string): (at: number) => number {
  let line = 1;
  let next = text.indexOf('\n');
  return (at) => {
    while (next !== -1 && next < at) {
      line += 1;
      next = text.indexOf('\n', next + 1);
    }
    return line;
  };
}

function positionOf({ at }: UnreadableJson, text: string): string {
  if (at === undefined) return 'the file ends too early or is not JSON';
  const before = text.slice(0, at).split('\n');
  return `error at line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
}
