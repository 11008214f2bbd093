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

/**
 * Measures windows of load, one round at a time over all targets, so that other load on the machine affects all of
 * them.
 */
export async function measure(
  targets: readonly Target[],
  options: Options,
  onWindow: (window: Window) => void,
): Promise<Window[]> {
  const windows: Window[] = [];
  // Round 0 warms up compilers and caches and is not counted.
  for (let round = 0; round <= options.rounds; round++) {
    const inTurn = round % 2 === 0 ? targets : targets.toReversed();
    const tokens = new Map(targets.map(({ name }) => [name, [] as string[]]));
    for (const scenario of options.scenarios) {
      for (const target of inTurn) {
        const window = await measureWindow(target, scenario, round, options, tokens.get(target.name) ?? []);
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
  tokens: string[],
): Promise<Window | undefined> {
  if (!canDo(target, scenario)) return undefined;
  const { port } = target;
  const { connections, seconds } = options;
  const work = requestsFor(target, scenario, tokens);
  const processorBefore = processorSeconds(target.pid);
  const load = await runLoad({
    port,
    connections,
    seconds,
    next: work,
    expectedStatus: scenario === 'wrong secret' ? 401 : 200,
    onBody: scenario === 'token' ? (body) => tokens.push(tokenIn(body)) : requireRight(scenario),
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

/**
 * Returns tokens of the same round's token window: for "cold" each is used once, for "hot" a thousand are used
 * repeatedly.
 */
function requestsFor(target: Target, scenario: Scenario, tokens: readonly string[]): () => Buffer | undefined {
  let at = 0;
  switch (scenario) {
    case 'token':
      return () => target.tokenRequests[at++ % target.tokenRequests.length];
    case 'workload token': {
      const { workloadRequests = [] } = target;
      return () => workloadRequests[at++ % workloadRequests.length];
    }
    case 'stand-alone key': {
      const requests = introspectionRequests(target, target.standaloneKeys ?? []);
      return () => requests[at++ % requests.length];
    }
    case 'wrong secret':
      return () => target.wrongSecretRequests[at++ % target.wrongSecretRequests.length];
    case 'introspection cold': {
      const requests = introspectionRequests(target, tokens);
      return () => requests[at++];
    }
    case 'introspection hot': {
      const requests = introspectionRequests(target, tokens.slice(0, hotTokens));
      return () => requests[at++ % requests.length];
    }
  }
}

function canDo(target: Target, scenario: Scenario): boolean {
  switch (scenario) {
    case 'token':
      return true;
    case 'workload token':
      return target.workloadRequests !== undefined;
    case 'stand-alone key':
      return target.standaloneKeys !== undefined;
    case 'wrong secret':
      return target.wrongSecretRequests.length > 0;
    default:
      return target.introspectionRequest !== undefined;
  }
}

function introspectionRequests({ introspectionRequest }: Target, tokens: readonly string[]): Buffer[] {
  return introspectionRequest ? tokens.map((token) => introspectionRequest(token)) : [];
}

function requireRight(scenario: Scenario): (body: string) => void {
  if (scenario === 'wrong secret') return () => undefined;
  const part = scenario === 'workload token' ? '"access_token"' : '"active":true';
  return (body) => {
    if (!body.includes(part)) throw new Error(`without ${part}: ${body}`);
  };
}

export function tokenIn(body: string): string {
  const start = body.indexOf('"access_token":"') + 16;
  return body.slice(start, body.indexOf('"', start));
}
