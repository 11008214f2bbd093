import { randomUUID } from 'node:crypto';
import { type Actor, type AuditEvent, appendAuditEvent } from '../audit/audit-log.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { seal } from '../credentials/sealed-copy.ts';
import { Conflict, NotFound, requireRevision } from '../errors.ts';
import type { NoticeKind } from '../notices/notice.ts';
import type { Clock } from '../process/clock.ts';
import type { Transaction } from '../storage/database.ts';
import type { disabledReasons, Webhook, WebhookSecret } from './webhook.ts';
import { generateSigningSecret } from './webhook-signature.ts';
import {
  countWebhooks,
  deleteEndedSecrets,
  deleteWebhookRow,
  deleteWebhookSecrets,
  findWebhookSecrets,
  insertWebhook,
  insertWebhookSecret,
  lockWebhook,
  retireWebhookSecret,
  saveWebhook,
} from './webhook-store.ts';
import { addressCheckFor, requireWebhookUrl } from './webhook-url.ts';

export type WebhookDeps = {
  clock: Clock;
  keyRing: KeyRing;
  /** Networks that webhooks of the deployment may reach although they are not public: CIDRs. */
  webhookNetworks: readonly string[];
};

type GivenWebhook = { name: string; url: string; kinds?: readonly NoticeKind[] | null | undefined };

/** Each webhook costs a request for every notice. */
const maxWebhooks = 50;

/**
 * Creates a webhook. Only the result contains its signing secret.
 * @throws {InvalidInput} if its URL cannot be used.
 * @throws {Conflict} `too_many_webhooks`
 */
export async function createWebhook(
  transaction: Transaction,
  deps: WebhookDeps,
  actor: Actor,
  given: GivenWebhook & { organizationId: string },
): Promise<{ webhook: Webhook; signingSecret: string }> {
  requireWebhookUrl(given.url, addressCheckFor(deps.webhookNetworks, given.organizationId));
  if ((await countWebhooks(transaction, given.organizationId)) >= maxWebhooks) {
    throw new Conflict('too_many_webhooks', `There are ${maxWebhooks} webhooks already. Delete one that is not used.`);
  }
  const at = new Date(deps.clock());
  const webhook: Webhook = {
    id: randomUUID(),
    organizationId: given.organizationId,
    name: given.name,
    url: given.url,
    kinds: given.kinds ?? null,
    disabledAs: null,
    failingSince: null,
    lastFailure: null,
    lastSuccessAt: null,
    revision: 1,
    createdAt: at,
    updatedAt: at,
  };
  await insertWebhook(transaction, webhook);
  const { signingSecret } = await addSecret(transaction, deps, webhook, at);
  await audit(transaction, actor, at, 'create', webhook, { after: auditView(webhook) });
  return { webhook, signingSecret };
}

/**
 * Changes the given members only.
 * @param expectedRevisions from If-Match; undefined accepts any revision.
 */
export async function updateWebhook(
  transaction: Transaction,
  deps: WebhookDeps,
  actor: Actor,
  id: string,
  patch: { [Field in keyof GivenWebhook]?: GivenWebhook[Field] | undefined },
  expectedRevisions?: readonly number[],
): Promise<Webhook> {
  const at = new Date(deps.clock());
  const webhook = await requireLocked(transaction, id);
  requireRevision(webhook.revision, expectedRevisions);
  if (Object.values(patch).every((value) => value === undefined)) return webhook;
  const changed: Webhook = {
    ...webhook,
    name: patch.name ?? webhook.name,
    url: patch.url ?? webhook.url,
    kinds: patch.kinds === undefined ? webhook.kinds : patch.kinds,
  };
  requireWebhookUrl(changed.url, addressCheckFor(deps.webhookNetworks, webhook.organizationId));
  const saved = await saveWebhook(transaction, changed, at);
  await audit(transaction, actor, at, 'update', saved, { before: auditView(webhook), after: auditView(saved) });
  return saved;
}

/** Enables a webhook, or disables it. Notices of the meantime are delivered only by a replay. */
export async function setWebhookEnabled(
  transaction: Transaction,
  deps: Pick<WebhookDeps, 'clock'>,
  actor: Actor,
  id: string,
  disabledAs: (typeof disabledReasons)[number] | null,
): Promise<Webhook> {
  const at = new Date(deps.clock());
  const webhook = await requireLocked(transaction, id);
  if ((webhook.disabledAs === null) === (disabledAs === null)) return webhook;
  const start = disabledAs === null ? { failingSince: null, lastFailure: null } : {};
  const saved = await saveWebhook(transaction, { ...webhook, ...start, disabledAs }, at);
  const action = disabledAs === null ? 'enable' : 'disable';
  await audit(transaction, actor, at, action, saved, {
    before: auditView(webhook),
    after: { ...auditView(saved), ...(disabledAs === null ? {} : { last_failure: webhook.lastFailure }) },
  });
  return saved;
}

export async function deleteWebhook(
  transaction: Transaction,
  deps: Pick<WebhookDeps, 'clock'>,
  actor: Actor,
  id: string,
): Promise<void> {
  const webhook = await requireLocked(transaction, id);
  const { organizationId } = webhook;
  const at = new Date(deps.clock());
  await deleteWebhookRow(transaction, id, at);
  await audit(transaction, actor, at, 'delete', webhook, { organizationId, before: auditView(webhook) });
}

export type RotatedWebhook = { webhook: Webhook; signingSecret: string; previousRetiresAt: Date };

/**
 * Replaces the signing secret. During the grace period, everything is signed with both, so that receivers can move one by
 * one. If a grace period is running, the older of its two secrets ends.
 */
export async function rotateWebhookSecret(
  transaction: Transaction,
  deps: WebhookDeps,
  actor: Actor,
  id: string,
  overlapSeconds: number,
): Promise<RotatedWebhook> {
  const at = new Date(deps.clock());
  const webhook = await requireLocked(transaction, id);
  const [current, ...previous] = await findWebhookSecrets(transaction, id, at);
  const ended = [...previous, ...(current && overlapSeconds === 0 ? [current] : [])];
  await deleteEndedSecrets(transaction, id, at);
  await deleteWebhookSecrets(
    transaction,
    ended.map((secret) => secret.id),
  );
  const previousRetiresAt = new Date(at.getTime() + overlapSeconds * 1_000);
  if (current && overlapSeconds > 0) await retireWebhookSecret(transaction, current.id, previousRetiresAt);
  const { signingSecret, secret } = await addSecret(transaction, deps, webhook, at);
  await audit(transaction, actor, at, 'rotate_secret', webhook, {
    before: { hint: current?.hint },
    after: { hint: secret.hint, previous_retires_at: previousRetiresAt },
  });
  return { webhook, signingSecret, previousRetiresAt };
}

/**
 * Ends the grace period of a signing secret: `finish` deletes the previous secret, `undo` the new one.
 * @throws {Conflict} `no_grace_period`
 */
export async function endWebhookRotation(
  transaction: Transaction,
  deps: Pick<WebhookDeps, 'clock'>,
  actor: Actor,
  id: string,
  as: 'finish' | 'undo',
): Promise<Webhook> {
  const at = new Date(deps.clock());
  const webhook = await requireLocked(transaction, id);
  const [current, previous] = await findWebhookSecrets(transaction, id, at);
  if (!current || !previous) {
    throw new Conflict('no_grace_period', 'No grace period is running, so there is no previous signing secret.');
  }
  const [kept, ended] = as === 'finish' ? [current, previous] : [previous, current];
  await deleteWebhookSecrets(transaction, [ended.id]);
  if (as === 'undo') await retireWebhookSecret(transaction, kept.id, null);
  await audit(transaction, actor, at, `${as}_rotation`, webhook, {
    before: { hint: ended.hint },
    after: { hint: kept.hint },
  });
  return webhook;
}

async function addSecret(
  transaction: Transaction,
  { keyRing }: WebhookDeps,
  { id: webhookId }: Webhook,
  at: Date,
): Promise<{ signingSecret: string; secret: WebhookSecret }> {
  const signingSecret = generateSigningSecret();
  const id = randomUUID();
  const secret: WebhookSecret = {
    id,
    sealed: seal(keyRing, { table: 'webhook_secrets', id }, signingSecret),
    hint: signingSecret.slice(-4),
    createdAt: at,
    retiresAt: null,
  };
  await insertWebhookSecret(transaction, webhookId, secret);
  return { signingSecret, secret };
}

async function requireLocked(transaction: Transaction, id: string): Promise<Webhook> {
  const webhook = await lockWebhook(transaction, id);
  if (!webhook) throw new NotFound('webhook');
  return webhook;
}

async function audit(
  transaction: Transaction,
  actor: Actor,
  at: Date,
  verb: string,
  { id, organizationId }: Webhook,
  states: Pick<AuditEvent, 'before' | 'after' | 'organizationId'>,
): Promise<void> {
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `webhook.${verb}`,
    targetType: 'webhook',
    target: id,
    organizationId,
    ...states,
  });
}

function auditView({ name, url, kinds, disabledAs }: Webhook): Record<string, unknown> {
  return { name, url, kinds, disabled_as: disabledAs };
}
