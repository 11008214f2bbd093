import { parseArgs } from 'node:util';

export type Options = {
  rounds: number;
  /** Length of each window of load. */
  seconds: number;
  connections: number;
  /** Registered integrations that take turns. */
  clients: number;
  scenarios: readonly Scenario[];
  json: boolean;
  /** Other checkouts of Keyturn that are measured on the same stores. */
  against: readonly string[];
  /** Number of instances that the callers of Keyturn name in turn; 0 if they name none. */
  instances: number;
};

export const scenarios = [
  'token',
  'JWT RS256',
  'JWT PS256',
  'JWT EdDSA',
  'JWT ES256',
  'JWT introspection',
  'private_key_jwt',
  'DPoP',
  'workload token',
  'introspection cold',
  'introspection hot',
  'stand-alone key',
  'wrong secret',
  'inactive token',
] as const;
export type Scenario = (typeof scenarios)[number];

/** The scenario of the reference server to which a scenario without a counterpart there is compared. */
export const comparedWith: { [Name in Scenario]?: Scenario } = {
  'JWT RS256': 'token',
  'JWT PS256': 'token',
  'JWT EdDSA': 'token',
  'JWT ES256': 'token',
  'JWT introspection': 'introspection hot',
  private_key_jwt: 'token',
  DPoP: 'token',
  'workload token': 'token',
  'stand-alone key': 'introspection hot',
  'wrong secret': 'token',
};

const usage = `npm run bench -- [options]

  --rounds N        interleaved rounds (5)
  --seconds N       of each window of load (2)
  --connections N   that ask without a pause (32)
  --clients N       registered integrations that take turns (100)
  --only NAME       one of: ${scenarios.join(', ')}; may be repeated.
                    Those that it uses or is compared with are measured too
  --against DIR     another checkout of Keyturn to compare with, on the same database; may be repeated; other servers
                    and the slow path are then left out
  --instances N     instances that the callers of Keyturn name in turn (0: none)
  --json            results as JSON on standard output`;

/** Reads the command line; prints usage and exits if it is invalid. */
export function readOptions(args: readonly string[]): Options {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        rounds: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '2' },
        connections: { type: 'string', default: '32' },
        clients: { type: 'string', default: '100' },
        only: { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
        against: { type: 'string', multiple: true, default: [] },
        instances: { type: 'string', default: '0' },
      },
    });
    return {
      rounds: atLeastOne('rounds', values.rounds),
      seconds: atLeastOne('seconds', values.seconds),
      connections: atLeastOne('connections', values.connections),
      clients: atLeastOne('clients', values.clients),
      scenarios: values.only.length > 0 ? select(values.only.map(toScenario)) : scenarios,
      json: values.json,
      against: values.against,
      instances: Number(values.instances),
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}

function atLeastOne(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} must be a whole number from 1`);
  return value;
}

function toScenario(name: string): Scenario {
  const scenario = scenarios.find((known) => known === name);
  if (!scenario) throw new Error(`--only ${name}: there is no such scenario`);
  return scenario;
}

/** Returns these scenarios in the order of the list, with those that they need. */
function select(named: readonly Scenario[]): readonly Scenario[] {
  const needed = new Set<Scenario>(named.flatMap((name) => [name, comparedWith[name] ?? name]));
  if ([...needed].some((name) => name.startsWith('introspection'))) needed.add('token');
  if (needed.has('JWT introspection')) needed.add('JWT ES256');
  return scenarios.filter((one) => needed.has(one));
}
