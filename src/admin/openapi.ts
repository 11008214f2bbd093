import { STATUS_CODES } from 'node:http';
import type { Context } from 'koa';
import { z } from 'zod';
import { createDocument, type oas31, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi';
import { approvalActs } from '../approvals/approval.ts';
import { describePermission } from '../contacts/contact.ts';
import { policyNames } from '../policies/policy.ts';
import { type Endpoint, tags } from './endpoint.ts';
import { addExamples } from './openapi-examples.ts';
import { simplifySchemas } from './openapi-schemas.ts';
import { configurationPlan } from './presenters/present-configuration.ts';
import { reviewSchema } from './presenters/present-regeneration.ts';
import { scopeReview } from './scope-schemas.ts';
import { timestamp } from './text.ts';

/** Serves the OpenAPI document without authentication, because it contains nothing specific to this deployment. */
export function serveOpenApi(endpoints: readonly Endpoint[]) {
  let document: ReturnType<typeof describeApi> | undefined;
  return (ctx: Context): void => {
    document ??= describeApi(endpoints);
    ctx.body = document;
  };
}

/** Generates the OpenAPI 3.1 document from the schemas that validate requests. */
export function describeApi(endpoints: readonly Endpoint[]): oas31.OpenAPIObject {
  const paths: ZodOpenApiPathsObject = {};
  for (const endpoint of endpoints) {
    const path = `/admin/v1${endpoint.path}`;
    paths[path] = { ...paths[path], [endpoint.method]: describeEndpoint(endpoint) };
  }
  const document = createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Keyturn admin API',
      version: '1',
      description: 'Manages clients, contacts, access keys, tokens and the audit log of a Keyturn server.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The admin listener that serves this document.' }],
    tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
    paths,
    security: [{ operatorToken: [] }],
    components: {
      securitySchemes: {
        operatorToken: { type: 'http', scheme: 'bearer', bearerFormat: 'kto_…', description: 'An operator token.' },
      },
    },
  });
  simplifySchemas(document);
  addExamples(document);
  return document;
}

const commonProblems = [400, 401, 403, 429, 500, 503];
const bodyProblems = [413, 415];

function describeEndpoint(endpoint: Endpoint): ZodOpenApiOperationObject {
  const {
    method,
    path,
    operationId,
    permission,
    summary,
    params,
    query,
    body,
    example,
    answers,
    problems = [],
  } = endpoint;
  const headers = z.object({
    ...(endpoint.conditional
      ? {
          'If-Match': z.string().optional().meta({
            description:
              'The ETag of the version that you have loaded. If there is a newer version, nothing changes (412).',
          }),
        }
      : {}),
    ...(endpoint.approval
      ? {
          'Keyturn-Approval': z.uuid().optional().meta({
            description:
              'The ID of an approved request for this act, if the act needs the approval of a second person.',
          }),
        }
      : {}),
    ...(endpoint.idempotent
      ? {
          'Idempotency-Key': z.string().min(1).max(255).optional().meta({
            description:
              'A unique value for this request. If you send the request again within ten minutes, you get the same response and nothing changes a second time.',
          }),
        }
      : {}),
  });
  const refusals = [
    ...commonProblems,
    ...problems,
    ...(endpoint.approval ? [409] : []),
    ...(params ? [404] : []),
    ...(method === 'get' ? [] : bodyProblems),
    ...(endpoint.conditional ? [412] : []),
    ...(endpoint.idempotent ? [422] : []),
  ];
  return {
    operationId,
    summary,
    description:
      permission === null
        ? 'Every operator may do this.'
        : `Requires the permission ${describePermission(permission)}.`,
    tags: [path.split('/')[1] ?? ''],
    requestParams: {
      ...(params ? { path: params } : {}),
      ...(query ? { query } : {}),
      ...(Object.keys(headers.shape).length > 0 ? { header: headers } : {}),
    },
    ...(body
      ? {
          requestBody: {
            required: !body.safeParse({}).success,
            content: { 'application/json': { schema: body, ...(example ? { example } : {}) } },
          },
        }
      : {}),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, schema]) => [
          status,
          {
            description: STATUS_CODES[status] ?? '',
            ...(schema ? { content: { 'application/json': { schema } } } : {}),
          },
        ]),
      ),
      ...Object.fromEntries(
        [...new Set(refusals)].map((status) => [
          String(status),
          {
            description: STATUS_CODES[status] ?? '',
            content: { 'application/problem+json': { schema: problemSchemaOf(status) } },
          },
        ]),
      ),
      // Node.js limits the request line together with the header fields, and answers without a body.
      ...(query ? { 431: { description: STATUS_CODES[431] ?? '' } } : {}),
    },
  };
}

const issues = z
  .array(
    z.strictObject({
      path: z.string().meta({ description: 'The field, such as `permissions.orders`.' }),
      message: z.string().meta({ description: 'What is wrong with it.' }),
    }),
  )
  .optional()
  .meta({ description: 'The fields that are wrong, at most 20.' });

const problemFields = {
  type: z.literal('about:blank').meta({ description: 'Always `about:blank`; see `code`.' }),
  title: z.string().meta({ description: 'The reason phrase of the status.' }),
  status: z.int().meta({ description: 'The HTTP status.' }),
  detail: z.string().meta({ description: 'What is wrong and what to do, for people. The text may change.' }),
  code: z.string().meta({ description: 'The kind of error, for programs. It does not change.' }),
};

const problemSchema = z
  .strictObject({ ...problemFields, issues })
  .meta({ id: 'Problem', description: 'An error (RFC 9457).' });

const clientId = z.string().meta({ description: 'The Client ID.' });
const name = z.string().meta({ description: 'Its name.' });

const approvalFields = {
  id: z.uuid().meta({ description: 'The ID of the request.' }),
  state: z.enum(['pending', 'approved']).meta({ description: 'Whether it was approved already.' }),
  expires_at: timestamp('When the request or the approval expires'),
};

const conflictSchema = z
  .strictObject({
    ...problemFields,
    clients: z
      .array(
        z.strictObject({
          client_id: clientId,
          name,
          last_used_at: timestamp('When the client last got a token with one of the scopes').optional(),
        }),
      )
      .optional()
      .meta({ description: 'Clients that prevent the change, at most ten.' }),
    operators: z
      .array(z.strictObject({ id: z.uuid().meta({ description: 'The ID of the contact.' }), name }))
      .optional()
      .meta({ description: 'Contacts whose operator token prevents the change, at most ten.' }),
    access_keys: z
      .array(
        z.strictObject({
          id: z.uuid().meta({ description: 'The ID of the access key.' }),
          name,
          contact_id: z.uuid().optional().meta({ description: 'The ID of its contact.' }),
        }),
      )
      .optional()
      .meta({ description: 'Access keys that prevent the change, at most ten.' }),
    issues,
    policy: z.enum(policyNames).optional().meta({ description: 'The policy that prevents the change.' }),
    scope: z.string().optional().meta({ description: 'The scopes that prevent the change, separated by spaces.' }),
    total: z.int().optional().meta({ description: 'How many clients and access keys prevent the change.' }),
    used_at: timestamp('When the access key was first used').optional(),
    approval: z
      .strictObject(approvalFields)
      .optional()
      .meta({ description: 'The request for approval that was made, if a second person has to approve the act.' }),
    approvals: z
      .array(
        z.strictObject({
          ...approvalFields,
          act: z.enum(approvalActs).meta({ description: 'What needs approval.' }),
          request: z.string().meta({ description: 'The endpoint that makes the change.' }),
          name,
        }),
      )
      .optional()
      .meta({ description: 'The requests for approval that were made for the changes of a configuration.' }),
    review: configurationPlan.optional().meta({ description: 'What applying the configuration would change.' }),
  })
  .meta({ id: 'Conflict', description: 'An error (RFC 9457), with what prevents the change.' });

const review = z
  .union([reviewSchema, scopeReview, configurationPlan])
  .meta({ description: 'What the request would affect, with the confirmation that it needs.' });

const reviewNeededSchema = z
  .strictObject({ ...problemFields, review })
  .meta({ id: 'ReviewNeeded', description: 'An error (RFC 9457), with the current review to confirm.' });

/** Returns the schema of an error body (RFC 9457) for a status. */
export function problemSchemaOf(status: number): z.ZodType {
  if (status === 409) return conflictSchema;
  return status === 428 ? reviewNeededSchema : problemSchema;
}
