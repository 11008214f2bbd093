import { isMailAddress } from '../configuration/mail-settings.ts';
import type { Queryable, Row } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import type { NoticeReceiver } from './channel.ts';
import { type Notice, noticeKinds } from './notice.ts';

/** Who receives mails: a contact, or an address that a client names as its technical contact (RFC 7591 §2). */
export type MailReceiver = {
  organizationId: string;
  name: string;
  address: string;
  /** The language of a contact, if it has one. */
  language: string | null;
  /** Whether the contact may sign in to the console. */
  isOperator: boolean;
};

/** Maximum number of operators, or of technical contacts, that receive one notice. */
const maxReceivers = 20;
const addressPrefix = 'mailto:';

type ContactRow = Row & { id: string; organization: string; name: string; email: string };

/**
 * Finds the receivers of a notice: the owner of the thing and its technical contacts; without them the operators with the
 * permission for its kind, of the organization or, if that has none, of the deployment. A request for approval goes to
 * those who may approve it, and the decision to the requester.
 */
export async function findMailReceivers(database: Queryable, notice: Notice): Promise<NoticeReceiver[]> {
  const { approval } = notice.data;
  if (notice.kind === 'approval_decided') return await findContacts(database, approval?.requester);
  if (approval) {
    const approvers = await findOperators(database, notice, notice.organizationId);
    const others = approvers.filter(({ id }) => id !== approval.requester);
    return others.length > 0 ? others : await findOperators(database, notice, deploymentOrganization);
  }
  const [owners, addresses] = await findResponsible(database, notice);
  const known = new Set(owners.map(({ email }) => email.toLowerCase()));
  const technical = [...new Set(addresses)]
    .filter((address) => isMailAddress(address) && !known.has(address.toLowerCase()))
    .slice(0, maxReceivers)
    .map((address) => ({ id: `${addressPrefix}${address}`, organizationId: notice.organizationId, name: address }));
  const responsible = [...owners.map(toReceiver), ...technical];
  if (responsible.length > 0) return responsible;
  const own = await findOperators(database, notice, notice.organizationId);
  return own.length > 0 ? own : await findOperators(database, notice, deploymentOrganization);
}

async function findResponsible(database: Queryable, { thing }: Notice): Promise<[ContactRow[], string[]]> {
  const [type, id] = thing.split(':');
  const select = 'SELECT o.id, o.organization, o.name, o.email';
  switch (type) {
    case 'client': {
      const owners = await database.query<ContactRow>(
        `${select} FROM clients c JOIN contacts o ON o.id = c.owner_contact WHERE c.id = $1`,
        [id],
      );
      const [client] = await database.query<{ contacts: string[] }>('SELECT contacts FROM clients WHERE id = $1', [id]);
      return [owners, client?.contacts ?? []];
    }
    case 'access_key':
      return [
        await database.query<ContactRow>(
          `${select} FROM access_keys k JOIN contacts o ON o.id = k.contact WHERE k.id = $1`,
          [id],
        ),
        [],
      ];
    case 'contact':
      return [await database.query<ContactRow>(`${select} FROM contacts o WHERE o.id = $1`, [id]), []];
    default:
      return [[], []];
  }
}

async function findContacts(database: Queryable, id: string | undefined): Promise<NoticeReceiver[]> {
  const rows = await database.query<ContactRow>(
    'SELECT id, organization, name, email FROM contacts WHERE id::text = $1',
    [id ?? ''],
  );
  return rows.map(toReceiver);
}

async function findOperators(
  database: Queryable,
  { kind, data }: Notice,
  organizationId: string,
): Promise<NoticeReceiver[]> {
  const rows = await database.query<ContactRow>(
    `SELECT id, organization, name, email FROM contacts WHERE organization = $1 AND $2 = ANY (permissions)
     ORDER BY created_at, id LIMIT $3`,
    [organizationId, data.approval?.permission ?? noticeKinds[kind].permission, maxReceivers],
  );
  return rows.map(toReceiver);
}

function toReceiver({ id, organization, name, email }: ContactRow): NoticeReceiver {
  return { id, organizationId: organization, name: `${name} <${email}>` };
}

/** Returns a receiver as it is now, or undefined if the contact was deleted. */
export async function findMailReceiver(
  database: Queryable,
  receiver: string,
  organizationId: string,
): Promise<MailReceiver | undefined> {
  if (receiver.startsWith(addressPrefix)) {
    const address = receiver.slice(addressPrefix.length);
    return { organizationId, name: '', address, language: null, isOperator: false };
  }
  const [row] = await database.query<ContactRow & { language: string | null; is_operator: boolean }>(
    `SELECT id, organization, name, email, language, permissions <> '{}' AS is_operator FROM contacts WHERE id = $1`,
    [receiver],
  );
  return (
    row && {
      organizationId: row.organization,
      name: row.name,
      address: row.email,
      language: row.language,
      isOperator: row.is_operator,
    }
  );
}
