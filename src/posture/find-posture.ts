import { type FoundSubject, findSubjects } from '../policies/find-subjects.ts';
import { type Violation, violationsOf } from '../policies/policy.ts';
import { listPolicies } from '../policies/policy-store.ts';
import type { Queryable } from '../storage/database.ts';
import { ownCreated } from '../storage/organization-limit.ts';
import { findFacts, type SubjectFacts } from './subject-facts.ts';

/** Ranks clients and access keys by what makes their credentials a risk. */

export const findingKinds = [
  'policy',
  'old_secret',
  'idle',
  'unused_scope',
  'no_owner',
  'many_networks',
  'secret_authentication',
] as const;
type FindingKind = (typeof findingKinds)[number];

export type PostureFinding = {
  kind: FindingKind;
  /** Days, scopes or networks; null if the kind has no number. */
  count: number | null;
  /** The violated policy; null for the other kinds. */
  policy: Violation | null;
  /** The points that it adds to the score of the thing. */
  score: number;
};

export type PostureItem = { subject: FoundSubject; score: number; findings: PostureFinding[] };

export type Posture = {
  /** All things that were found, the highest score first. */
  items: PostureItem[];
  /** Whether there may be more, because only the first of each kind are examined. */
  isCut: boolean;
};

/** Number of things that are examined for each reason, the worst first. */
const maxOfReason = 500;
/** Number of things of one organization that are examined. */
const maxOfOrganization = 2_000;
const dayMs = 86_400_000;

/**
 * Finds the clients and access keys with the worst credentials. Each statement reads a bounded number of rows through an
 * index, so that the number of clients does not matter.
 * @param organizationId examines what belongs to this organization; undefined examines everything.
 */
export async function findPosture(
  database: Queryable,
  now: number,
  organizationId: string | undefined,
): Promise<Posture> {
  const clients = await findCandidates(database, 'clients', organizationId);
  const keys = await findCandidates(database, 'access_keys', organizationId);
  const policies = await listPolicies(database);
  const subjects = [
    ...(await findSubjects(database, 'clients', clients.ids)),
    ...(await findSubjects(database, 'access_keys', keys.ids)),
  ];
  const facts = await findFacts(
    database,
    subjects.map(({ id }) => id),
    now,
  );
  const items = subjects
    .filter(({ enabled }) => enabled)
    .map((subject) => judge(subject, facts.get(subject.id), violationsOf(policies, subject, now), now))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || (a.subject.id < b.subject.id ? -1 : 1));
  return { items, isCut: clients.isCut || keys.isCut };
}

/** Statements that select the ids of things by one reason each, with an index for their order. */
const reasons = {
  clients: [
    'SELECT client AS id FROM secrets WHERE retires_at IS NULL AND client IS NOT NULL ORDER BY created_at',
    `SELECT id FROM clients WHERE kind = 'integration' AND enabled ORDER BY coalesce(last_used_at, created_at)`,
    'SELECT id FROM clients WHERE enabled AND owner_contact IS NULL ORDER BY created_at',
    `SELECT id FROM clients WHERE enabled AND auth_method LIKE 'client_secret%' ORDER BY created_at`,
  ],
  access_keys: [
    'SELECT access_key AS id FROM secrets WHERE retires_at IS NULL AND access_key IS NOT NULL ORDER BY created_at',
    'SELECT id FROM access_keys WHERE enabled ORDER BY coalesce(last_used_at, created_at)',
  ],
} as const;

const ofOrganization = {
  clients: `SELECT id FROM clients WHERE organization = $1 AND enabled ORDER BY ${ownCreated}, id`,
  access_keys: `SELECT id FROM access_keys WHERE organization = $1 AND enabled ORDER BY ${ownCreated}, id`,
} as const;

async function findCandidates(
  database: Queryable,
  table: keyof typeof reasons,
  organizationId: string | undefined,
): Promise<{ ids: string[]; isCut: boolean }> {
  if (organizationId !== undefined) {
    const rows = await database.query<{ id: string }>(`${ofOrganization[table]} LIMIT ${maxOfOrganization}`, [
      organizationId,
    ]);
    return { ids: rows.map(({ id }) => id), isCut: rows.length === maxOfOrganization };
  }
  const ids = new Set<string>();
  let isCut = false;
  for (const select of reasons[table]) {
    const rows = await database.query<{ id: string }>(`${select} LIMIT ${maxOfReason}`);
    for (const { id } of rows) ids.add(id);
    isCut ||= rows.length === maxOfReason;
  }
  return { ids: [...ids], isCut };
}

const scoreOfStage = { report: 10, warn: 25, enforce: 40 } as const;

function judge(
  subject: FoundSubject,
  facts: SubjectFacts | undefined,
  violations: readonly Violation[],
  now: number,
): PostureItem {
  const days = (since: Date) => Math.floor((now - since.getTime()) / dayMs);
  const findings: PostureFinding[] = violations.map((policy) => ({
    kind: 'policy',
    count: policy.days,
    policy,
    score: scoreOfStage[policy.stage],
  }));
  const add = (kind: FindingKind, score: number, count: number | null = null) => {
    if (score > 0) findings.push({ kind, count, policy: null, score });
  };
  if (subject.secretSince) {
    const age = days(subject.secretSince);
    add('old_secret', age > 365 ? 20 : age > 180 ? 10 : age > 90 ? 5 : 0, age);
  }
  if (subject.kind !== 'resource_server') {
    const idle = days(subject.lastUsedAt ?? subject.createdAt);
    add('idle', idle > 180 ? 25 : idle > 90 ? 20 : 0, idle);
  }
  // Nothing is known of the scopes of a thing whose use of scopes no resource server reports.
  const used = facts?.usedScopes ?? 0;
  const unused = used > 0 ? subject.granted - used : 0;
  add('unused_scope', unused > 0 ? Math.ceil((10 * unused) / subject.granted) : 0, unused);
  if (subject.hasOwner === false) add('no_owner', 15);
  const networks = facts?.networks ?? 0;
  if (subject.isLimitedToNetworks !== true) add('many_networks', networks > 3 ? 10 : 0, networks);
  if (subject.usesSecret) add('secret_authentication', 5);
  return { subject, score: findings.reduce((sum, { score }) => sum + score, 0), findings };
}
