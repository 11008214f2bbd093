import { STATUS_CODES } from 'node:http';

/** Derives examples of bodies from their schemas, for the OpenAPI documents. */
type Schema = {
  $ref?: string;
  type?: string | string[];
  format?: string;
  const?: unknown;
  enum?: unknown[];
  example?: unknown;
  examples?: unknown[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  items?: Schema;
  minimum?: number;
  required?: string[];
  properties?: Record<string, Schema>;
};
type Media = { schema?: object; example?: unknown };
type Described = {
  paths?: object;
  components?: { schemas?: object };
};

/** Values of members by their names, where the schema gives none. */
const valuesByName: Readonly<Record<string, unknown>> = {
  access_key: 'ktk_8sQp2mXvB4tR7yLc0nWj5kHf3gDz6aEu9iOo1pTqVxM00Ab1Z',
  access_token: 'kta_3kTz9vQw5mXb1nLr7pHs0cJd2fGy8aUe4iRo6tWqYxV00Cd2X',
  actor_name: 'Ann Operator',
  address: '198.51.100.7',
  client_id: 'kti_4fW1mZ8qYc0RkT7pLs2VnB',
  client_secret: 'kts_9aTq3vXw7mZb5nLr1pHs8cJd4fGy0kUe2iRo6tWqYxV00Ef3K',
  clients: null,
  by: 'Ann Operator',
  confirmation: 'cnf_7Lr1pHs8cJd4fGy0',
  contact_name: 'Partner Ltd',
  created_by: 'Ann Operator',
  detail: 'kti_4fW1mZ8qYc0RkT7pLs2VnB',
  description: 'Copies new orders to the warehouse.',
  email: 'ann@example.com',
  expires_in: 3_600,
  hint: '…x7Qz',
  issued_by: 'Ann Operator',
  information: 'orders',
  iss: 'https://auth.example.com',
  id: 'kti_4fW1mZ8qYc0RkT7pLs2VnB',
  jti: 'Vt8mQ2xK5nRb7cLw',
  keys: [],
  kid: 'Qd3fX0mV8sR2kT7pLs1VnBq5Yc9ZwHjE4uAoG6iNtWx',
  message: 'Its grace period ends soon, and 1 source still uses the previous secret.',
  name: 'Order sync',
  next_step: 'Review the rotation.',
  next_cursor: null,
  operator_token: 'kto_5mXb1nLr7pHs0cJd2fGy8aUe4iRo6tWqYxV3kTz9vQw00Gh4T',
  refused_as: 'wrong_secret',
  scope: 'orders:read',
  text: 'The client is enabled.',
  thumbprint: 'Qd3fX0mV8sR2kT7pLs1VnBq5Yc9ZwHjE4uAoG6iNtWx',
  sub: 'kti_4fW1mZ8qYc0RkT7pLs2VnB',
  user_agent: 'order-sync/2.1',
};

type Answer = { content?: Record<string, Media> };

/** Adds an example to every body of a request and of an answer that has none. */
export function addExamples(document: Described): void {
  const schemas = (document.components?.schemas ?? {}) as Record<string, Schema>;
  const fill = ({ content = {} }: Answer, complete: (example: unknown) => unknown) => {
    for (const media of Object.values(content)) {
      if (media.schema && media.example === undefined) media.example = complete(exampleOf(media.schema, schemas));
    }
  };
  for (const methods of Object.values(document.paths ?? {}) as Record<string, unknown>[]) {
    for (const { requestBody, responses } of Object.values(methods) as {
      requestBody?: Answer;
      responses: Record<string, Answer>;
    }[]) {
      if (requestBody) fill(requestBody, (example) => example);
      for (const [status, answer] of Object.entries(responses)) fill(answer, (example) => asError(example, status));
    }
  }
}

type ErrorTexts = Readonly<Record<string, readonly [code: string, text: string]>>;

const unavailable = 'Service unavailable: the database cannot be reached. Try again shortly.';
const internal = 'An internal error occurred.';

/** Codes and texts of the admin API's errors, by their status. */
const problems: ErrorTexts = {
  400: ['invalid_request', 'name: must not be empty.'],
  401: ['unauthenticated', 'A valid operator token is required.'],
  403: ['forbidden', 'You need the permission integrations:edit.'],
  404: ['not_found', 'Client not found.'],
  409: ['client_is_disabled', 'The client is disabled. Enable it first.'],
  412: ['precondition_failed', 'Changed by someone else since you loaded it. Reload and try again.'],
  413: ['content_too_large', 'The body must not exceed 1048576 bytes.'],
  415: ['unsupported_media_type', 'Content-Type must be application/json.'],
  422: ['idempotency_key_reused', 'This Idempotency-Key was already used for a different request. Send a new key.'],
  428: ['confirmation_required', 'Send the confirmation of the review.'],
  429: ['too_many_requests', 'Too many failed attempts. Try again later.'],
  500: ['server_error', internal],
  503: ['temporarily_unavailable', unavailable],
};

/** Codes and texts of errors of the public listener, by their status. */
const oauthErrors: ErrorTexts = {
  400: ['invalid_request', 'A parameter is missing or not valid.'],
  401: ['invalid_client', 'Client authentication failed.'],
  403: ['unauthorized_client', 'Only resource servers can receive events.'],
  409: ['rotation_in_progress', 'Not every program has moved to this credential. Rotate again after that.'],
  413: ['invalid_request', 'The body must not exceed 16384 bytes.'],
  415: ['invalid_request', 'Content-Type must be application/x-www-form-urlencoded.'],
  421: ['invalid_request', 'This server does not serve the host in the Host header.'],
  422: ['idempotency_key_reused', 'This Idempotency-Key was already used for a different request. Send a new key.'],
  429: ['temporarily_unavailable', 'This client has requested too many tokens. Try again later.'],
  500: ['server_error', internal],
  503: ['temporarily_unavailable', unavailable],
};

/** Returns the example of an error with the members that belong to its status, and any other example unchanged. */
function asError(example: unknown, status: string): unknown {
  if (typeof example !== 'object' || example === null || Number(status) < 400) return example;
  const [code, detail] = problems[status] ?? [];
  if ('detail' in example) return { ...example, title: STATUS_CODES[status], status: Number(status), detail, code };
  const [error, text] = oauthErrors[status] ?? ['invalid_request', STATUS_CODES[status]];
  return 'error' in example ? { error, error_description: text } : example;
}

/** Returns a value that the schema accepts. Optional members are absent. */
function exampleOf(schema: Schema, schemas: Readonly<Record<string, Schema>>, name = ''): unknown {
  if (schema.$ref !== undefined) return exampleOf(schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {}, schemas, name);
  if (schema.const !== undefined) return schema.const;
  if (schema.example !== undefined) return schema.example;
  if (schema.examples?.[0] !== undefined) return schema.examples[0];
  if (schema.enum) return schema.enum[0];
  const types = [schema.type ?? []].flat();
  const known = valuesByName[name];
  if (known !== undefined && schema.format === undefined && acceptsType(schema, typeOf(known))) return known;
  if (acceptsType(schema, 'null')) return null;
  const [first] = schema.anyOf ?? schema.oneOf ?? [];
  if (first) return exampleOf(first, schemas, name);
  return sampleOf(schema, types[0], (member, of) => exampleOf(member, schemas, of));
}

function sampleOf(schema: Schema, type: string | undefined, sample: (schema: Schema, name: string) => unknown) {
  switch (type) {
    case 'object': {
      // Answers with a Client ID show its secret too, if they can have one.
      const hasClientId = schema.required?.includes('client_id');
      return Object.fromEntries(
        Object.entries(schema.properties ?? {})
          .filter(([name]) => schema.required?.includes(name) || (name === 'client_secret' && hasClientId))
          .map(([name, member]) => [name, sample(member, name)]),
      );
    }
    case 'array':
      return schema.items ? [sample(schema.items, '')] : [];
    case 'integer':
    case 'number':
      return Math.max(schema.minimum ?? 0, 12);
    case 'boolean':
      return false;
    default:
      return textOf(schema.format);
  }
}

function textOf(format: string | undefined): string {
  if (format === 'date-time') return '2026-11-28T12:00:00.000Z';
  if (format === 'uuid') return '3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11';
  return format === 'uri' ? 'https://api.example.com' : 'text';
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return value === null ? 'null' : typeof value === 'number' ? 'integer' : typeof value;
}

function acceptsType({ type, anyOf = [] }: Schema, wanted: string): boolean {
  return [type ?? []].flat().includes(wanted) || anyOf.some((variant) => acceptsType(variant, wanted));
}
