import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import type { LoggedRequest, RehearsedAnswer } from '../../explain/rehearse-request.ts';
import { callAdmin } from '../call-admin.ts';
import { type Admin, withAdmin } from '../stores.ts';
import { CommandEnd, print, say, table, toJson } from '../terminal.ts';
import type { LogLine } from './read-request-log.ts';

type Options = { each?: true; json?: true };

/** Adds `moving rehearse`, which answers the logged token requests of another server. */
export function addMovingCommands(moving: Command): void {
  moving
    .command('rehearse')
    .description("answer another server's logged token requests by the rules of this one; issues nothing")
    .argument('<file>', 'JSON lines, or an access log of nginx or Apache; - for standard input')
    .option('--each', 'print one JSON object per line for each request, in the order of the log')
    .option('--json', 'print one JSON object with the counts and the different answers')
    .addHelpText(
      'after',
      `
Examples:
  keyturn moving rehearse token-requests.jsonl
  grep /oauth2/token access.log | keyturn moving rehearse -
  keyturn --url https://admin.example.com moving rehearse token-requests.jsonl
  tail -F token-requests.jsonl | keyturn moving rehearse - --each | jq 'select(.status != 200)'

A JSON line has the member client_id, and those of scope, resource, audience, grant_type, auth_method, path, content_type,
dpop, certificate, access_key, status and granted_scope that the log knows. A line must not contain a secret.

Secrets and signatures are not in a log and are assumed to be valid. Requests that the other server rejected are skipped.

The exit code is 1 if a request would be rejected or a line could not be read, and 2 if there is no request.`,
    )
    .action(async (file: string, options: Options) => {
      const report = createReport(options);
      await withAdmin(async (admin) => {
        const { readLogLine } = await import('./read-request-log.ts');
        const answered = new Map<string, RehearsedAnswer>();
        for await (const { line, number } of readLines(file)) {
          const read = readLogLine(line);
          if (!('request' in read)) {
            report.omit(number, read);
            continue;
          }
          // A log repeats the same few requests.
          const key = JSON.stringify(read.request);
          const answer = answered.get(key) ?? (await rehearse(admin, read.request));
          if (answered.size < maxGroups) answered.set(key, answer);
          report.add(number, key, read.request, answer);
        }
      });
      report.end();
    });
}

/** Returns the answer that the token endpoint would give. */
async function rehearse(admin: Admin, request: LoggedRequest): Promise<RehearsedAnswer> {
  const body = {
    client_id: request.clientId,
    grant_type: request.grantType,
    scope: request.scope,
    resource: request.resources,
    audience: request.audiences,
    auth_method: request.authMethod,
    path: request.path,
    content_type: request.contentType,
    dpop: request.dpop,
    certificate: request.certificate,
    access_key: request.accessKey,
    granted_scope: request.grantedScope,
  };
  return await callAdmin<RehearsedAnswer>(admin, 'POST /explain/token-request', { body });
}

/** Maximum number of different requests that are remembered and listed. All others are counted in the totals. */
const maxGroups = 10_000;
const shownRows = 50;
const shownProblems = 10;

async function* readLines(file: string): AsyncGenerator<{ line: string; number: number }> {
  const input = file === '-' ? process.stdin : createReadStream(file);
  let number = 0;
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      number += 1;
      if (line.trim() !== '') yield { line: line.trim(), number };
    }
  } catch (error) {
    if (typeof (error as NodeJS.ErrnoException).code !== 'string' || number > 0) throw error;
    throw new CommandEnd(2, `error: ${(error as Error).message}`);
  }
}

type Group = { count: number; firstLine: number; request: LoggedRequest; answer: RehearsedAnswer };
type Omitted = Exclude<LogLine, { request: LoggedRequest }>;

/** Counts the answers, and prints them as the options say. */
function createReport(options: Options) {
  const groups = new Map<string, Group>();
  const problems: { line: number; message: string }[] = [];
  const counts = { requests: 0, tokens: 0, rejected: 0, different: 0, skipped: 0, unreadable: 0 };
  return {
    omit(line: number, omitted: Omitted): void {
      if ('skipped' in omitted) {
        counts.skipped += 1;
        return;
      }
      counts.unreadable += 1;
      if (problems.length < shownProblems) problems.push({ line, message: omitted.problem });
    },
    add(line: number, key: string, request: LoggedRequest, answer: RehearsedAnswer): void {
      counts.requests += 1;
      counts[answer.error === null ? 'tokens' : 'rejected'] += 1;
      if (answer.error === null && answer.text !== null) counts.different += 1;
      if (options.each) print(JSON.stringify({ line, client_id: request.clientId, ...answer }));
      const group = groups.get(key);
      if (group) group.count += 1;
      else if (groups.size < maxGroups) groups.set(key, { count: 1, firstLine: line, request, answer });
    },
    /** @throws {CommandEnd} 1 or 2. */
    end(): void {
      const sorted = [...groups.values()].sort((one, other) => other.count - one.count);
      const notable = [
        ...sorted.filter(({ answer }) => answer.error !== null),
        ...sorted.filter(({ answer }) => answer.error === null && answer.text !== null),
      ];
      if (options.json) print(toJson({ ...counts, answers: notable.map(toJsonGroup), problems }));
      else if (!options.each && notable.length > 0) print(toTable(notable.slice(0, shownRows)));
      if (!options.json) {
        if (!options.each && notable.length > shownRows) say(`and ${notable.length - shownRows} more; see --json`);
        for (const { line, message } of problems) say(`line ${line}: ${message}`);
        say(summaryOf(counts));
      }
      if (counts.requests === 0) throw new CommandEnd(2, 'error: The log contains no token request that can be read.');
      if (counts.rejected + counts.unreadable > 0) throw new CommandEnd(1);
    },
  };
}

function toJsonGroup({ count, firstLine, request, answer }: Group) {
  const { clientId: client_id, scope: asked_scope = null, path = null } = request;
  return { count, first_line: firstLine, client_id, asked_scope, path, ...answer };
}

function toTable(groups: readonly Group[]): string {
  return table(
    ['requests', 'client', 'scope', 'answer', 'reason'],
    groups.map(({ count, request, answer }) => [
      String(count),
      request.clientId,
      request.scope ?? '',
      answer.error === null ? '200' : `${answer.status} ${answer.error}`,
      answer.text ?? '',
    ]),
  );
}

function summaryOf({ requests, tokens, rejected, different, skipped, unreadable }: Record<string, number>): string {
  const of = (count = 0, one: string, many: string) => `${count} ${count === 1 ? one : many}`;
  return [
    `${of(requests, 'token request', 'token requests')}: ${of(tokens, 'gets a token', 'get a token')} (${different} with a difference), ${rejected} would be rejected.`,
    ...(skipped
      ? [`${of(skipped, 'line was', 'lines were')} skipped: other endpoints, or rejected by the other server.`]
      : []),
    ...(unreadable ? [`${of(unreadable, 'line', 'lines')} could not be read.`] : []),
  ].join('\n');
}
