import { z } from 'zod';
import type { GivenTrust } from '../../trusts/manage-trusts.ts';
import { type Condition, presetNames, type Trust } from '../../trusts/trust.ts';
import type { Trial } from '../../trusts/try-token.ts';
import { nullableTimestamp, text, timestamp } from '../text.ts';
import { jwksSchema } from './present-client.ts';

/** Schemas of trusts in issuers of workload identities, and their JSON. */

const value = z.string().min(1).max(1_000);
const conditionSchema = z
  .strictObject({
    claim: z.string().min(1).max(200).meta({
      description: 'The name of a claim, or a JSON Pointer to one inside of others (RFC 6901).',
      example: 'repository_id',
    }),
    equals: value.optional().meta({ description: 'The value that the claim must have.' }),
    one_of: z.array(value).min(1).max(50).optional().meta({ description: 'The values that the claim may have.' }),
    prefix: value.optional().meta({
      description: 'The beginning of the value. It must continue without `/` and `:`, within one segment of a path.',
    }),
  })
  .refine(({ equals, one_of: oneOf, prefix }) => [equals, oneOf, prefix].filter(Boolean).length === 1, {
    message: 'must have exactly one of `equals`, `one_of` and `prefix`',
  })
  .meta({ description: 'A condition on a claim of the token.' });

const fields = {
  name: text(200).meta({ description: 'The name that people see.' }),
  preset: z.enum(presetNames).meta({
    description: 'The platform that issues the tokens. Its rules say which claims the conditions must pin.',
  }),
  issuer: z.string().min(1).max(2_000).meta({
    description: 'The `iss` of the tokens, compared exactly. For SPIFFE: `spiffe://` and the trust domain.',
    example: 'https://token.actions.githubusercontent.com',
  }),
  audience: z.string().min(1).max(1_000).meta({
    description: 'The only `aud` of the tokens. The default is the issuer of this server.',
  }),
  conditions: z
    .array(conditionSchema)
    .min(1)
    .max(20)
    .meta({
      description: 'All of them must be met.',
      example: [
        { claim: 'repository_id', equals: '719384512' },
        { claim: 'environment', equals: 'production' },
      ],
    }),
  max_lifetime: z.int().min(60).max(86_400).meta({
    description: 'The longest time from `iat` to `exp` of a token, in seconds. The default is 86400.',
  }),
  enabled: z.boolean().meta({ description: 'Whether its tokens are accepted.' }),
};

const keyFields = {
  jwks: jwksSchema
    .nullable()
    .optional()
    .meta({ description: 'The public keys of the issuer (RFC 7517). Default, and null: found by discovery.' }),
  jwks_uri: z.string().max(2_000).nullable().optional().meta({
    description: 'The https URL of the public keys of the issuer. Null: found by discovery.',
  }),
  in_cluster: z.boolean().optional().meta({
    description: 'Whether the keys are read from the API of the cluster in KEYTURN_CLUSTER_URL.',
  }),
  ca: z.string().max(40_000).nullable().optional().meta({
    description: 'The CAs that are trusted for the requests to the issuer, in PEM. Null: those of Node.js.',
  }),
};

export const newTrust = z.strictObject({
  client_id: z.string().max(200).meta({ description: 'The integration that the tokens stand for.' }),
  name: fields.name,
  preset: fields.preset.optional(),
  issuer: fields.issuer.optional(),
  audience: fields.audience.optional(),
  conditions: fields.conditions,
  max_lifetime: fields.max_lifetime.optional(),
  enabled: fields.enabled.optional(),
  ...keyFields,
});

export const trustPatch = newTrust.omit({ client_id: true }).partial();

export const trustSchema = z
  .strictObject({
    id: z.uuid().meta({ description: 'The ID of the trust.' }),
    client_id: z.string().meta({ description: 'The integration that the tokens stand for.' }),
    client_name: z.string().meta({ description: 'The name of that integration.' }),
    ...fields,
    keys: z
      .strictObject({
        source: z.enum(['discovery', 'jwks_uri', 'jwks', 'in_cluster']).meta({ description: 'Where the keys are.' }),
        jwks_uri: z.string().nullable().meta({ description: 'Their URL, if the trust names it.' }),
        jwks: jwksSchema.nullable().meta({ description: 'The keys, if the trust has them itself.' }),
        has_ca: z.boolean().meta({ description: 'Whether the trust names its own CAs.' }),
        ca: z.string().nullable().meta({ description: 'Its own CAs, in PEM. Null: those of Node.js.' }),
      })
      .meta({ description: 'The public keys of the issuer.' }),
    created_at: timestamp('When the trust was created'),
    updated_at: timestamp('When the trust was last changed'),
  })
  .meta({ id: 'Trust', description: 'An issuer whose tokens stand for an integration.' });

export function presentTrust(trust: Trust): z.input<typeof trustSchema> {
  const { source, jwksUri, jwks, ca } = trust.keys;
  return {
    id: trust.id,
    client_id: trust.clientId,
    client_name: trust.clientName,
    name: trust.name,
    preset: trust.preset,
    issuer: trust.issuer,
    audience: trust.audience,
    conditions: trust.conditions.map(presentCondition),
    max_lifetime: trust.maxLifetimeSeconds,
    enabled: trust.enabled,
    keys: { source, jwks_uri: jwksUri, jwks: jwks as z.input<typeof jwksSchema> | null, has_ca: ca !== null, ca },
    created_at: trust.createdAt.toISOString(),
    updated_at: trust.updatedAt.toISOString(),
  };
}

function presentCondition({ claim, equals, oneOf, prefix }: Condition): z.input<typeof conditionSchema> {
  if (equals !== undefined) return { claim, equals };
  return oneOf === undefined ? { claim, prefix } : { claim, one_of: [...oneOf] };
}

/** Converts the members of a request body to the property names of the code. */
export function toGivenTrust(body: z.output<typeof trustPatch>): GivenTrust {
  return {
    name: body.name,
    preset: body.preset,
    issuer: body.issuer,
    audience: body.audience,
    jwks: body.jwks,
    jwksUri: body.jwks_uri,
    inCluster: body.in_cluster,
    ca: body.ca,
    conditions: body.conditions && toConditions(body.conditions),
    maxLifetimeSeconds: body.max_lifetime,
    enabled: body.enabled,
  };
}

export function toConditions(given: readonly z.output<typeof conditionSchema>[]): Condition[] {
  return given.map(({ claim, equals, one_of: oneOf, prefix }) =>
    equals !== undefined ? { claim, equals } : oneOf === undefined ? { claim, prefix: prefix ?? '' } : { claim, oneOf },
  );
}

const checkSchema = z.strictObject({
  check: z.enum(['issuer', 'audience', 'expiry', 'issued_at', 'not_before', 'lifetime', 'condition']).meta({
    description: 'The rule.',
  }),
  claim: z.string().nullable().meta({ description: 'The claim of a condition. Null: another rule.' }),
  expected: z.string().meta({ description: 'What the trust expects.' }),
  found: z.string().nullable().meta({ description: 'What the token has. Null: nothing.' }),
  met: z.boolean().meta({ description: 'Whether the token meets the rule.' }),
});

export const trialSchema = z
  .strictObject({
    accepted: z.boolean().meta({ description: 'Whether a trust accepts the token.' }),
    problem: z.string().nullable().meta({ description: 'Why no trust was compared. Null: trusts were compared.' }),
    header: z
      .strictObject({
        alg: z.string().nullable().meta({ description: 'The signature algorithm. Null: none.' }),
        kid: z.string().nullable().meta({ description: 'The ID of the key. Null: none.' }),
        typ: z.string().nullable().meta({ description: 'The type. Null: none.' }),
      })
      .meta({ description: 'The header of the token.' }),
    issuer: z.string().nullable().meta({ description: 'The issuer that the token names. Null: none.' }),
    issued_at: nullableTimestamp('When the token was issued. Null: it does not say.'),
    expires_at: nullableTimestamp('When the token expires. Null: it does not say.'),
    trusts: z
      .array(
        z.strictObject({
          trust_id: z.uuid().meta({ description: 'The ID of the trust.' }),
          name: z.string().meta({ description: 'The name of the trust.' }),
          client_id: z.string().meta({ description: 'The integration that the token would stand for.' }),
          client_name: z.string().meta({ description: 'The name of that integration.' }),
          accepted: z.boolean().meta({ description: 'Whether the token meets every rule.' }),
          checks: z.array(checkSchema).meta({ description: 'Every rule, with what was found.' }),
        }),
      )
      .meta({ description: 'The trusts whose issuer has signed the token.' }),
  })
  .meta({ id: 'TrustTrial', description: 'What a token would be accepted as.' });

export function presentTrial(trial: Trial): z.input<typeof trialSchema> {
  return {
    accepted: trial.isAccepted,
    problem: trial.problem,
    header: trial.header,
    issuer: trial.issuer,
    issued_at: trial.issuedAt?.toISOString() ?? null,
    expires_at: trial.expiresAt?.toISOString() ?? null,
    trusts: trial.trusts.map(({ trust, isAccepted, checks }) => ({
      trust_id: trust.id,
      name: trust.name,
      client_id: trust.clientId,
      client_name: trust.clientName,
      accepted: isAccepted,
      checks: checks.map(({ check, claim = null, expected, found, isMet }) => ({
        check: check as z.input<typeof checkSchema>['check'],
        claim,
        expected,
        found,
        met: isMet,
      })),
    })),
  };
}
