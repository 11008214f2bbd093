import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';
import type { Core } from '../../../core.ts';
import { NotFound } from '../../../errors.ts';
import { adminEndpoints } from '../../endpoints.ts';
import { describeApi } from '../../openapi.ts';
import { describePublicListener } from '../../public-openapi.ts';
import { t } from '../languages/translate.ts';
import type { Page } from '../page.ts';
import { codeBlock, facts, pageHeading, table } from '../parts/elements.ts';

type Schema = {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  enum?: unknown[];
  anyOf?: Schema[];
  items?: Schema;
  required?: string[];
  properties?: Record<string, Schema>;
};
type Content = Record<string, { schema: Schema; example?: unknown }>;
type Described = {
  operationId: string;
  summary: string;
  description?: string;
  tags: string[];
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema: Schema }[];
  requestBody?: { required?: boolean; content: Content };
  responses: Record<string, { description: string; content?: Content }>;
};
type Document = {
  info: { title: string };
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Described>>;
  components: { schemas: Record<string, Schema> };
};
type Operation = Described & { document: Document; base: string; isAdmin: boolean; method: string; path: string };

/** Caches the operations by configuration, because they are the same for every request. */
const known = new WeakMap<Core['config'], Operation[]>();

/** Returns the operations of both listeners, from the documents that the server serves. */
function operationsOf(core: Core): Operation[] {
  const found = known.get(core.config);
  if (found) return found;
  const read = (document: Document, base: string, isAdmin: boolean) =>
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ ...operation, document, base, isAdmin, method, path })),
    );
  const operations = [
    ...read(describeApi(adminEndpoints(core)) as unknown as Document, '$KEYTURN_URL', true),
    ...read(describePublicListener(core.config.issuer) as unknown as Document, core.config.issuer, false),
  ];
  known.set(core.config, operations);
  return operations;
}

/** Reference of the admin API and the public endpoints, rendered from their OpenAPI documents. */
export const apiReferencePages: readonly Page[] = [
  {
    method: 'get',
    path: '/api',
    permission: 'integrations:view',
    handle: async ({ core }) => ({
      title: t('API reference'),
      section: 'system',
      body: english(html`${pageHeading({
        title: 'API reference',
        lead: html`For programs, as OpenAPI 3.1: <a href="/admin/v1/openapi.json">admin API</a> and <a href="/admin/v1/public-openapi.json">public endpoints</a>.`,
        back: { path: '/console/system', label: 'System' },
      })}
      ${[...new Set(operationsOf(core).map(({ document }) => document))].map(
        (document) => html`<h2>${document.info.title}</h2>
          ${document.tags.map(({ name, description }) =>
            group(
              name,
              description,
              operationsOf(core).filter((each) => each.document === document),
            ),
          )}`,
      )}`),
    }),
  },
  {
    method: 'get',
    path: '/api/:operation_id',
    permission: 'integrations:view',
    handle: async ({ core, params }) => {
      const operation = operationsOf(core).find(({ operationId }) => operationId === params['operation_id']);
      if (!operation) throw new NotFound('page');
      return { title: operation.operationId, section: 'system', body: english(operationPage(operation)) };
    },
  },
];

/** Marks the reference as English, because the API and its descriptions are. */
function english(content: VNode): VNode {
  return html`<div class="stack" lang="en" dir="ltr">${content}</div>`;
}

function group(tag: string, description: string, operations: readonly Operation[]): VNode {
  return html`<h3>${tag}</h3>
    <p class="hint">${description}</p>
    ${table({
      caption: `Operations: ${tag}`,
      columns: [{ label: 'Operation' }, { label: 'Request' }, { label: 'Description' }],
      rows: operations
        .filter(({ tags }) => tags[0] === tag)
        .map((operation) => [
          html`<a class="whole" href=${`/console/api/${operation.operationId}`}>${operation.operationId}</a>`,
          html`<code class="whole">${requestLine(operation)}</code>`,
          withCode(operation.summary),
        ]),
    })}`;
}

function operationPage(operation: Operation): VNode {
  const { operationId, summary, description, parameters = [], requestBody, responses } = operation;
  const errors = Object.entries(responses).filter(([status]) => !status.startsWith('2'));
  return html`${pageHeading({
    title: operationId,
    lead: withCode(`${summary}.`),
    back: { path: '/console/api', label: 'API reference' },
  })}
  ${facts({
    Request: html`<code>${requestLine(operation)}</code>`,
    Permission: description && withCode(description),
  })}
  <h2>Example</h2>
  ${codeBlock({ id: 'curl', label: 'Example request', code: curlOf(operation) })}
  ${
    parameters.length > 0 &&
    html`<h2>Parameters</h2>
      ${table({
        caption: 'Parameters',
        columns: [{ label: 'Name' }, { label: 'In' }, { label: 'Type' }, { label: 'Description' }],
        rows: parameters.map((each) => [
          nameCell(each.name, each.required),
          html`<span class="whole">${each.in}</span>`,
          html`<span class="whole">${typeOf(each.schema)}</span>`,
          withCode(each.description ?? ''),
        ]),
      })}`
  }
  ${requestBody && html`<h2>Body</h2>${bodyOf(operation, 'Body', requestBody.content)}`}
  ${Object.entries(responses)
    .filter(([status]) => status.startsWith('2'))
    .map(
      ([status, { description: phrase, content = {} }]) =>
        html`<h2>${`Answer ${status}`}</h2>
          ${Object.keys(content).length === 0 ? html`<p>${phrase}, without a body.</p>` : bodyOf(operation, `Answer ${status}`, content)}`,
    )}
  <h2>Errors</h2>
  ${
    errors.length === 0
      ? html`<p>None.</p>`
      : table({
          caption: 'Errors',
          columns: [{ label: 'Status' }, { label: 'Meaning' }, { label: 'Body' }],
          rows: errors.map(([status, { description: phrase, content = {} }]) => [
            status,
            phrase,
            Object.entries(content).map(
              ([type, { schema }]) => html`${typeOf(schema)} <code class="fine">${type}</code>`,
            ),
          ]),
        })
  }`;
}

function bodyOf({ document }: Operation, label: string, content: Content): VNode[] {
  return Object.entries(content).map(([type, { schema, example }], index) => {
    const { properties = {}, required = [], description } = resolve(document, schema);
    const rows = Object.entries(properties).map(([name, member]) => [
      nameCell(name, required.includes(name)),
      html`<span class="whole">${typeOf(member)}</span>`,
      withCode(member.description ?? resolve(document, member).description ?? ''),
    ]);
    const code = typeof example === 'string' ? example : JSON.stringify(example, null, 2);
    const id = `example-${label.replace(' ', '-').toLowerCase()}-${index}`;
    return html`<p><code>${type}</code> ${withCode(description ?? '')}</p>
      ${rows.length > 0 && table({ caption: `${label}: ${type}`, columns: [{ label: 'Name' }, { label: 'Type' }, { label: 'Description' }], rows })}
      ${type.endsWith('json') && code !== '{}' && codeBlock({ id, label: `${label}: example`, code })}`;
  });
}

function requestLine({ method, path }: Operation): string {
  return `${method.toUpperCase()} ${path}`;
}

/** Returns the command that sends the example request. The parts in capitals are the reader's own values. */
function curlOf({ method, path, base, isAdmin, requestBody, responses }: Operation): string {
  const url = `${base}${path.replace(/\{(\w+)\}/g, (_all, name: string) => `$${name.toUpperCase()}`)}`;
  const [type, { example = {} } = {}] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  const isPrivate = isAdmin || '401' in responses;
  const fields = type?.includes('json')
    ? [`-H 'Content-Type: ${type}'`, `-d '${JSON.stringify(example)}'`]
    : Object.entries(type ? (example as object) : {}).map(([name, value]) => `-d '${name}=${value}'`);
  const parts = [
    `curl ${method === 'get' ? '' : `-X ${method.toUpperCase()} `}"${url}"`,
    ...(isPrivate
      ? [isAdmin ? '-H "Authorization: Bearer $KEYTURN_OPERATOR_TOKEN"' : '-u "$CLIENT_ID:$CLIENT_SECRET"']
      : []),
    ...fields,
  ];
  return parts.join(' \\\n  ');
}

function nameCell(name: string, required: boolean | undefined): VNode {
  return html`<code class="whole">${name}</code>${required && html` <span class="hint">required</span>`}`;
}

function resolve({ components }: Document, schema: Schema): Schema {
  return schema.$ref === undefined ? schema : (components.schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {});
}

/** Returns the type of a schema in words, such as `array of string` or `string (date-time) or null`. */
function typeOf({ $ref, type, format, enum: values, anyOf, items }: Schema): string {
  if ($ref) return $ref.split('/').at(-1) ?? '';
  if (values) return values.map(String).join(', ');
  if (anyOf) return anyOf.map(typeOf).join(' or ');
  const words = [type ?? 'any'].flat().map((each) => (each === 'array' && items ? `array of ${typeOf(items)}` : each));
  return `${words.join(' or ')}${format ? ` (${format})` : ''}`;
}

/** Renders text whose code is between backticks. */
function withCode(text: string): ComponentChildren {
  return text.split('`').map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : part));
}
