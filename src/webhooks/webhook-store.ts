import type { NoticeKind } from '../notices/notice.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { recordRemoved } from '../storage/lost-rows.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import type { Webhook, WebhookSecret } from './webhook.ts';

type WebhookRow = Row & {
  id: string;
  organization: string;
  name: string;
  url: string;
  kinds: NoticeKind[] | null;
  disabled_as: Webhook['disabledAs'];
  failing_since: Date | null;
  last_failure: string | null;
  last_success_at: Date | null;
  revision: number;
  created_at: Date;
  updated_at: Date;
};

export async function findWebhook(database: Queryable, id: string): Promise<Webhook | undefined> {
  const [row] = await database.query<WebhookRow>('SELECT * FROM webhooks WHERE id = $1', [id]);
  return row && toWebhook(row);
}

export async function lockWebhook(transaction: Transaction, id: string): Promise<Webhook | undefined> {
  const [row] = await transaction.query<WebhookRow>('SELECT * FROM webhooks WHERE id = $1 FOR UPDATE', [id]);
  return row && toWebhook(row);
}

/** Lists webhooks, newest first. Returns one row more than `limit` if there is another page. */
export async function listWebhooks(
  database: Queryable,
  { organizationId, limit, after }: WebhookPage,
): Promise<Webhook[]> {
  const rows = await database.query<WebhookRow>(
    `SELECT * FROM webhooks WHERE ($1::uuid IS NULL OR organization = $1)
       AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
     ORDER BY created_at DESC, id DESC LIMIT $4`,
    [organizationId ?? null, after?.createdAt ?? null, after?.id ?? null, limit + 1],
  );
  return rows.map(toWebhook);
}

type WebhookPage = {
  organizationId?: string | undefined;
  limit: number;
  after?: Pick<Webhook, 'id' | 'createdAt'> | undefined;
};

/** Counts the webhooks of an organization. */
export async function countWebhooks(database: Queryable, organizationId: string): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    'SELECT count(*) AS count FROM webhooks WHERE organization = $1',
    [organizationId],
  );
  return row?.count ?? 0;
}

/** Finds the enabled webhooks that receive a notice of this kind about something of this organization. */
export async function findSubscribed(
  database: Queryable,
  { kind, organizationId }: { kind: NoticeKind; organizationId: string },
): Promise<Webhook[]> {
  const rows = await database.query<WebhookRow>(
    `SELECT * FROM webhooks WHERE organization = ANY ($1::uuid[]) AND enabled AND (kinds IS NULL OR $2 = ANY (kinds))
     ORDER BY created_at, id`,
    [[organizationId, deploymentOrganization], kind],
  );
  return rows.map(toWebhook);
}

export async function insertWebhook(transaction: Transaction, webhook: Webhook): Promise<void> {
  await transaction.query(
    `INSERT INTO webhooks (id, organization, name, url, kinds, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $6)`,
    [webhook.id, webhook.organizationId, webhook.name, webhook.url, webhook.kinds, webhook.createdAt],
  );
}

/** Saves what an operator can change, and returns the webhook with its new revision. */
export async function saveWebhook(transaction: Transaction, webhook: Webhook, at: Date): Promise<Webhook> {
  const [row] = await transaction.query<WebhookRow>(
    `UPDATE webhooks SET name = $2, url = $3, kinds = $4, enabled = $5::text IS NULL, disabled_as = $5, failing_since = $6,
       last_failure = $7, updated_at = $8, revision = revision + 1 WHERE id = $1 RETURNING *`,
    [
      webhook.id,
      webhook.name,
      webhook.url,
      webhook.kinds,
      webhook.disabledAs,
      webhook.failingSince,
      webhook.lastFailure,
      at,
    ],
  );
  return toWebhook(row as WebhookRow);
}

export async function deleteWebhookRow(transaction: Transaction, id: string, at: Date): Promise<void> {
  await transaction.query('DELETE FROM webhooks WHERE id = $1', [id]);
  await recordRemoved(transaction, 'webhooks', [id], at);
}

/** Records the result of an attempt. @param failure undefined for a success. */
export async function saveAttempt(
  database: Queryable,
  id: string,
  failure: string | undefined,
  at: Date,
): Promise<Webhook | undefined> {
  const [row] = await database.query<WebhookRow>(
    failure === undefined
      ? 'UPDATE webhooks SET failing_since = NULL, last_success_at = $2 WHERE id = $1 RETURNING *'
      : 'UPDATE webhooks SET failing_since = coalesce(failing_since, $2), last_failure = $3 WHERE id = $1 RETURNING *',
    failure === undefined ? [id, at] : [id, at, failure],
  );
  return row && toWebhook(row);
}

type SecretRow = Row & { id: string; sealed: string; hint: string; created_at: Date; retires_at: Date | null };

/** Finds the secrets of a webhook that have not ended, the current one first. */
export async function findWebhookSecrets(database: Queryable, id: string, now: Date): Promise<WebhookSecret[]> {
  const rows = await database.query<SecretRow>(
    `SELECT * FROM webhook_secrets WHERE webhook = $1 AND (retires_at IS NULL OR retires_at > $2)
     ORDER BY retires_at DESC NULLS FIRST`,
    [id, now],
  );
  return rows.map((row) => ({
    id: row.id,
    sealed: row.sealed,
    hint: row.hint,
    createdAt: row.created_at,
    retiresAt: row.retires_at,
  }));
}

export async function insertWebhookSecret(
  transaction: Transaction,
  webhookId: string,
  secret: WebhookSecret,
): Promise<void> {
  await transaction.query(
    'INSERT INTO webhook_secrets (id, webhook, sealed, hint, created_at) VALUES ($1, $2, $3, $4, $5)',
    [secret.id, webhookId, secret.sealed, secret.hint, secret.createdAt],
  );
}

/** Sets the end of a secret, or makes it the current one again. */
export async function retireWebhookSecret(transaction: Transaction, id: string, retiresAt: Date | null): Promise<void> {
  await transaction.query('UPDATE webhook_secrets SET retires_at = $2 WHERE id = $1', [id, retiresAt]);
}

/** Deletes secrets that have ended: nothing is signed with them any more. */
export async function deleteWebhookSecrets(transaction: Transaction, ids: readonly string[]): Promise<void> {
  await transaction.query('DELETE FROM webhook_secrets WHERE id = ANY ($1::uuid[])', [ids]);
}

export async function deleteEndedSecrets(transaction: Transaction, webhookId: string, now: Date): Promise<void> {
  await transaction.query('DELETE FROM webhook_secrets WHERE webhook = $1 AND retires_at <= $2', [webhookId, now]);
}

function toWebhook(row: WebhookRow): Webhook {
  return {
    id: row.id,
    organizationId: row.organization,
    name: row.name,
    url: row.url,
    kinds: row.kinds,
    disabledAs: row.disabled_as,
    failingSince: row.failing_since,
    lastFailure: row.last_failure,
    lastSuccessAt: row.last_success_at,
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
