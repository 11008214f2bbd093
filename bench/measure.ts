import { generateSecret } from '../src/credentials/credential-format.ts';
import { runLoad } from './load.ts';
import type { Options, Scenario } from './options.ts';
import { processorSeconds } from './server-process.ts';
import type { Target } from './target.ts';

/** One window of load on one target. */
export type Window = {
  target: string;
  scenario: Scenario;
  round: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** Server processor time per answer; undefined where the system cannot report it. */
  processorMicros: number | undefined;
};

const hotTokens = 1_000;
/** Fewer, because a JWT is verified again after at most a second. */
const hotJwts = 100;

/** The tokens that a target issued in this round, for its introspections. */
type Issued = { tokens: string[]; jwts: string[] };

/**
 * Measures windows of load, one round at a time over all targets, so that other load on the machine affects all of
 * them.
 */
export async function measure(
  targets: readonly Target[],
  options: Options,
  onWindow: (window: Window) => void,
  /** Sets the deployment of the targets up for a scenario. */
  prepare: (scenario: Scenario) => Promise<void> = async () => undefined,
): Promise<Window[]> {
  const windows: Window[] = [];
  // Round 0 warms up compilers and caches and is not counted.
  for (let round = 0; round <= options.rounds; round++) {
    const inTurn = round % 2 === 0 ? targets : targets.toReversed();
    const issued = new Map<string, Issued>(targets.map(({ name }) => [name, { tokens: [], jwts: [] }]));
    for (const scenario of options.scenarios) {
      await prepare(scenario);
      for (const target of inTurn) {
        const window = await measureWindow(target, scenario, round, options, issued.get(target.name) as Issued);
        if (!window || round === 0) continue;
        windows.push(window);
        onWindow(window);
      }
    }
  }
  return windows;
}

async function measureWindow(
  target: Target,
  scenario: Scenario,
  round: number,
  options: Options,
  issued: Issued,
): Promise<Window | undefined> {
  const { requests, part, expectedStatus = 200, keep } = works[scenario];
  const next = await requests(target, issued);
  if (!next) return undefined;
  const { port } = target;
  const { connections, seconds } = options;
  const processorBefore = processorSeconds(target.pid);
  const load = await runLoad({
    port,
    connections,
    seconds,
    next,
    expectedStatus,
    onBody: (body) => {
      if (keep) issued[keep].push(tokenIn(body));
      else requirePart(body, part);
    },
  });
  if (load.refusals > 0) console.error(`${target.name}, ${scenario}: ${load.refusals} × ${load.refusal}`);
  const processorAfter = processorSeconds(target.pid);
  const processor = (processorAfter ?? Number.NaN) - (processorBefore ?? Number.NaN);
  return {
    target: target.name,
    scenario,
    round,
    perSecond: load.answers / load.seconds,
    p50Ms: load.latencies[Math.floor(load.answers * 0.5)] ?? Number.NaN,
    p99Ms: load.latencies[Math.floor(load.answers * 0.99)] ?? Number.NaN,
    processorMicros: Number.isNaN(processor) ? undefined : (processor / load.answers) * 1e6,
  };
}

type Requests = () => Buffer | undefined;

/** The requests of a scenario and their right answers. */
type Work = {
  /** Returns the requests, or undefined if the server does not do this. */
  requests(target: Target, issued: Issued): Promise<Requests | undefined> | Requests | undefined;
  /** Text that every right answer contains. */
  part: string;
  expectedStatus?: number;
  /** Where the issued tokens are kept for introspections. */
  keep?: keyof Issued;
};

const jwt: Work = { requests: ({ jwtRequests }) => inTurn(jwtRequests), part: '"access_token"' };

const works: Record<Scenario, Work> = {
  token: { requests: ({ tokenRequests }) => inTurn(tokenRequests), part: '"access_token"', keep: 'tokens' },
  'JWT RS256': jwt,
  'JWT PS256': jwt,
  'JWT EdDSA': jwt,
  'JWT ES256': { ...jwt, keep: 'jwts' },
  'JWT introspection': {
    requests: ({ jwtIntrospectionRequest: make }, { jwts }) => make && inTurn(jwts.slice(0, hotJwts).map(make)),
    part: '"active":true',
  },
  private_key_jwt: { requests: ({ assertionRequest }) => assertionRequest, part: '"access_token"' },
  DPoP: { requests: ({ startProofs }) => startProofs?.(), part: '"token_type":"DPoP"' },
  'workload token': { requests: ({ workloadRequests }) => inTurn(workloadRequests), part: '"access_token"' },
  'introspection cold': {
    requests: ({ introspectionRequest: make }, { tokens }) => make && once(tokens.map(make)),
    part: '"active":true',
  },
  'introspection hot': {
    requests: ({ introspectionRequest: make }, { tokens }) => make && inTurn(tokens.slice(0, hotTokens).map(make)),
    part: '"active":true',
  },
  'stand-alone key': {
    requests: ({ introspectionRequest: make, standaloneKeys }) => make && inTurn(standaloneKeys?.map(make)),
    part: '"active":true',
  },
  'wrong secret': {
    requests: ({ wrongSecretRequests }) => inTurn(wrongSecretRequests),
    part: '"error":"invalid_client"',
    expectedStatus: 401,
  },
  'inactive token': {
    requests: ({ introspectionRequest: make }) => make && (() => make(generateSecret('kta_'))),
    part: '"active":false',
  },
};

function inTurn(requests: readonly Buffer[] = []): Requests | undefined {
  let at = 0;
  return requests.length === 0 ? undefined : () => requests[at++ % requests.length];
}

function once(requests: readonly Buffer[]): Requests {
  let at = 0;
  return () => requests[at++];
}

function requirePart(body: string, part: string): void {
  if (!body.includes(part)) throw new Error(`without ${part}: ${body}`);
}

export function tokenIn(body: string): string {
  const start = body.indexOf('"access_token":"') + 16;
  return body.slice(start, body.indexOf('"', start));
}
