import { z } from 'zod';
import { clientKinds } from './client-kinds.ts';
import type { Kind } from './configuration-kind.ts';
import { noticeSettingsKind, webhookKind } from './notice-kinds.ts';
import { contactKind, organizationKind, providerKind } from './people-kinds.ts';
import { policiesKind } from './policy-kind.ts';

/**
 * Returns every kind of document. A new kind is added here, and to the order in `carry-out.ts`.
 * @param issuer that of the server.
 */
export function configurationKinds(issuer: string): Kind[] {
  return [
    ...clientKinds(issuer),
    organizationKind,
    contactKind,
    providerKind,
    webhookKind,
    noticeSettingsKind,
    policiesKind,
  ];
}

/** Returns the JSON Schema of a document in a file, for editors. Secrets are in no file. */
export function configurationSchema(): Record<string, unknown> {
  const schemas = configurationKinds('').map(({ schema }) =>
    'client_secret' in schema.shape ? schema.omit({ client_secret: true }) : schema,
  );
  const document = z.discriminatedUnion('kind', schemas as never);
  const { $schema, ...rest } = z.toJSONSchema(document, { target: 'draft-7', io: 'input', unrepresentable: 'any' });
  return { $schema, title: 'A document of a Keyturn configuration', ...rest };
}
