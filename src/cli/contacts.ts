import { type Command, Option } from 'commander';
import { contactLanguages, permissions } from '../contacts/contact.ts';
import { addAct, addListCommand } from './acts.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { type Admin, withAdmin } from './stores.ts';
import { collect, type OutputOptions, present, presentSecret, say, sheet } from './terminal.ts';

/** Members of the admin API's contact that are displayed. */
type ShownContact = Json & {
  id: string;
  organization_id: string;
  name: string;
  email: string;
  external_id: string | null;
  language: string | null;
  permissions: string[];
  operator_token_hint: string | null;
  created_at: string;
  updated_at: string;
};

type WithToken = ShownContact & { operator_token: string };

type FieldOptions = OutputOptions & {
  name?: string;
  organization?: string;
  email?: string;
  externalId?: string | false;
  language?: string;
  permission?: string[];
};

const one = '/contacts/{id}';
const subject = { path: one, parameter: 'id', example: '3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11' } as const;

export function addContactCommands(contacts: Command): void {
  addCreate(contacts);
  addList(contacts);
  addAct<ShownContact>(contacts, subject, {
    name: 'show',
    description: 'show a contact',
    method: 'GET',
    text: showContact,
  });
  addUpdate(contacts);
  addAct(contacts, subject, {
    name: 'delete',
    description: 'delete a contact; its history stays in the audit log',
    method: 'DELETE',
    question: (name) => `Delete ${name}? Its operator token stops working at once. This cannot be undone.`,
    json: (id) => ({ id, deleted: true }),
    text: (_, id) => `${id} was deleted.`,
  });
  addOperatorToken(contacts);
}

function addCreate(contacts: Command): void {
  withPermission(contacts.command('create'))
    .description('create a contact; with --operator-token, create an operator')
    .requiredOption('--name <text>', 'name of the person or company')
    .requiredOption('--email <address>', 'e-mail address')
    .option('--external-id <id>', 'unique id of the contact in your own system')
    .addOption(new Option('--language <code>', 'language of mails').choices(contactLanguages))
    .option('--organization <id>', 'the id of the organization that the contact belongs to')
    .option('--operator-token', 'issue an operator token; standard output contains only the token, which is shown once')
    .option('--json', 'print one JSON object, with operator_token if it was issued')
    .addHelpText(
      'after',
      `
Examples:
  keyturn contacts create --name 'Ann Operator' --email ann@example.com --permission all --operator-token
  keyturn contacts create --name 'Partner Ltd' --email it@partner.example --external-id 4711
  keyturn contacts create --name Auditor --email a@example.com --permission integrations:view,audit:view --operator-token`,
    )
    .action(async (options: FieldOptions & { operatorToken?: true }) => {
      await withAdmin(async (admin) => {
        const created = await callAdmin<ShownContact>(admin, 'POST /contacts', { body: toFields(options) });
        if (!options.operatorToken) return present(options, created, () => showContact(created));
        await issueToken(admin, options, created.id).catch((error: unknown) => {
          say(`The contact ${created.id} was created without an operator token.`);
          throw error;
        });
      });
    });
}

function addList(contacts: Command): void {
  addListCommand<ShownContact>(contacts, {
    description: 'list contacts, newest first',
    route: 'GET /contacts',
    isSorted: true,
    options: [
      new Option('-q, --q <text>', 'search: first letters of words in the name or e-mail address, or an external id'),
      new Option('--organization <id>', 'only contacts of this organization'),
    ],
    toQuery: ({ organization, ...query }) => ({ ...query, organization_id: organization }),
    columns: {
      id: (contact) => contact.id,
      name: (contact) => contact.name,
      email: (contact) => contact.email,
      external_id: (contact) => contact.external_id ?? '',
      operator_token: (contact) => contact.operator_token_hint ?? '',
      permissions: shortPermissions,
    },
    examples: ['keyturn contacts list -q example.com'],
  });
}

function addUpdate(contacts: Command): void {
  withPermission(contacts.command('update'))
    .description('change only the given fields')
    .argument('<id>', 'the id of the contact')
    .option('--name <text>', 'name of the person or company')
    .option('--email <address>', 'e-mail address')
    .option('--external-id <id>', 'unique id of the contact in your own system')
    .option('--no-external-id', 'remove the external id')
    .addOption(new Option('--language <code>', 'language of mails').choices(contactLanguages))
    .option('--organization <id>', 'the id of the organization that the contact moves to, with its access keys')
    .option('--json', 'print the changed contact as one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn contacts update 3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11 --permission integrations:view,audit:view
  keyturn contacts update 3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11 --permission none`,
    )
    .action(async (id: string, options: FieldOptions) => {
      const request = { ...of(id), body: toFields(options) };
      const contact = await withAdmin((admin) => callAdmin<ShownContact>(admin, `PATCH ${one}`, request));
      present(options, contact, () => showContact(contact));
    });
}

function addOperatorToken(contacts: Command): void {
  contacts
    .command('operator-token')
    .description('issue an operator token for a contact, shown once; revokes the previous one at once')
    .argument('<id>', 'the id of the contact')
    .option('--revoke', 'issue no token; revoke the current one')
    .option('--json', 'print one JSON object with operator_token')
    .addHelpText(
      'after',
      `
Examples:
  keyturn contacts operator-token 3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11 > operator-token
  keyturn contacts operator-token 3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11 --revoke`,
    )
    .action(async (id: string, options: OutputOptions & { revoke?: true }) => {
      if (!options.revoke) {
        await withAdmin((admin) => issueToken(admin, options, id));
        return;
      }
      await withAdmin((admin) => callAdmin(admin, `DELETE ${one}/operator-token`, of(id)));
      present(options, { id, revoked: true }, () => 'The operator token was revoked.');
    });
}

function withPermission(command: Command): Command {
  const list = `all, none, or some of ${permissions.join(', ')}; repeatable, or separated by commas`;
  return command.option('--permission <permissions>', list, collect);
}

function toFields(options: FieldOptions): Json {
  const given = options.permission;
  const granted = given?.includes('all') ? permissions : given?.filter((permission) => permission !== 'none');
  return {
    name: options.name,
    organization_id: options.organization,
    email: options.email,
    external_id: options.externalId === false ? null : options.externalId,
    language: options.language,
    permissions: granted,
  };
}

function of(id: string): { params: Json } {
  return { params: { id } };
}

/** Issues a token and prints it before the change is committed. */
async function issueToken(admin: Admin, options: OutputOptions, id: string): Promise<void> {
  await callAdmin<WithToken>(admin, `POST ${one}/operator-token`, of(id), (contact) => presentToken(options, contact));
}

function presentToken(options: OutputOptions, contact: WithToken): void {
  const said = `${showContact(contact)}\n\nThe operator token, which cannot be shown again:`;
  presentSecret(options, contact, said, contact.operator_token);
}

function showContact(contact: ShownContact): string {
  return sheet({
    id: contact.id,
    organization: contact.organization_id,
    name: contact.name,
    email: contact.email,
    external_id: contact.external_id ?? 'none',
    language: contact.language ?? 'en (default)',
    permissions: contact.permissions.join(', ') || 'none',
    operator_token: contact.operator_token_hint ?? 'none',
    created: contact.created_at,
    updated: contact.updated_at,
  });
}

function shortPermissions(contact: ShownContact): string {
  return contact.permissions.length === permissions.length ? 'all' : contact.permissions.join(', ');
}
