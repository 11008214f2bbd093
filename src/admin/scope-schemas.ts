import { z } from 'zod';
import { actions, isScopeName, scopeLimits, scopeNameForm } from '../clients/declared-scopes.ts';
import { timestamp } from './text.ts';

/** Schemas of the scopes that a resource server declares. */

const scopeName = z.string().max(scopeLimits.name).refine(isScopeName, scopeNameForm);
const scopeShape = {
  name: scopeName.meta({
    description: 'The name of the scope: any scope-token of RFC 6749 §3.3 with up to 128 characters.',
    example: 'orders.read',
  }),
  description: z.string().max(scopeLimits.description).meta({
    description: 'What the scope allows, for people.',
    example: 'Read orders and their positions.',
  }),
};
const aliases = z
  .array(scopeName)
  .max(scopeLimits.aliases)
  .meta({ description: 'Other names of the same permission, such as its name before a rename.' });
const cell = {
  information: z.string().max(63).nullable().meta({
    description:
      'With `action`: the names mean this kind of information and action, and can be used in place of `kind:action`.',
  }),
  action: z.enum(actions).nullable().meta({ description: 'The action that the names mean, with `information`.' }),
  sensitive: z.boolean().meta({ description: 'Whether the console marks the scope as sensitive where it is granted.' }),
  deprecated: z
    .array(scopeName)
    .max(scopeLimits.aliases + 1)
    .meta({
      description:
        'Those of its names that are deprecated. They stay valid, but the metadata and the forms of the console leave them out, except for those who have them.',
    }),
};

/** Schema of the scopes that a resource server declares, in a request. */
export const givenScopes = z
  .array(
    z.strictObject({
      ...scopeShape,
      aliases: aliases.optional(),
      information: cell.information.optional(),
      action: cell.action.optional(),
      sensitive: cell.sensitive.optional(),
      deprecated: cell.deprecated.optional(),
      renamed_from: scopeName.optional().meta({
        description:
          'Its `name` until now, if that is not valid any more. Clients, access keys and ceilings that have it get the new name, and requests with it are rejected.',
      }),
    }),
  )
  .max(scopeLimits.scopes)
  .meta({
    description:
      'The scopes that a resource server names itself, beside those of `information`. All of them: a scope that is missing is removed. A scope that keeps one of its names, or says with `renamed_from` which one it had, stays the same permission.',
  });

/** Schema of the declared scopes in a response. */
export const shownScopes = z.array(z.strictObject({ ...scopeShape, aliases, ...cell })).meta({
  description: 'The scopes that a resource server declares beside those of `information`. Empty for an integration.',
});

const scopeUse = {
  scope: z.string().meta({ description: 'A name of a declared scope.' }),
  used_by: z
    .array(
      z.strictObject({
        client_id: z.string().meta({ description: 'The Client ID.' }),
        name: z.string().meta({ description: 'The name of the client.' }),
        last_used_at: timestamp('When the client last got a token with this name'),
      }),
    )
    .meta({ description: 'The clients that used the name in the last 30 days, latest first, at most 50.' }),
  used_by_others: z.int().meta({ description: 'How many more clients used it.' }),
};

/** Schema of who uses the declared scopes of a resource server. */
export const scopeUsage = z.strictObject({
  scopes: z
    .array(
      z.strictObject({ ...scopeUse, deprecated: z.boolean().meta({ description: 'Whether the name is deprecated.' }) }),
    )
    .meta({ description: 'Each name of each declared scope.' }),
});

/** Schema of the review of a change that removes, renames or deprecates names of declared scopes. */
export const scopeReview = z
  .strictObject({
    confirmation: z
      .string()
      .meta({ description: 'Send this value with the change. It shows that you have seen this.' }),
    expires_in: z.int().meta({ description: 'How many seconds the confirmation is valid.' }),
    impact: z
      .strictObject({
        scopes: z
          .array(
            z.strictObject({
              ...scopeUse,
              effect: z.enum(['removed', 'renamed', 'deprecated']).meta({
                description:
                  '`removed`: token requests with the name are rejected. `renamed`: they are too, and those who have the name get `replaced_by`. `deprecated`: the name stays valid.',
              }),
              replaced_by: z.string().nullable().meta({
                description:
                  'The name that the permission keeps, for a name that is removed or renamed. Null: none, or the name stays valid.',
              }),
              held_by: z
                .strictObject({
                  clients: z.int().meta({ description: 'Number of integrations.' }),
                  access_keys: z.int().meta({ description: 'Number of access keys.' }),
                })
                .meta({ description: 'How many have the scope under this name.' }),
            }),
          )
          .meta({ description: 'The names that clients have or used in the last 30 days.' }),
      })
      .meta({ description: 'Who has and who uses the names now.' }),
  })
  .meta({ id: 'ScopeReview', description: 'The impact of a change of declared scopes.' });
