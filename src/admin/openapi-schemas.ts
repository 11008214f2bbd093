/** Rewrites the schemas of the OpenAPI documents to forms that generators of clients read. */
type Schema = Record<string, unknown>;

/** Members whose values are data and not schemas. */
const data = new Set(['example', 'examples', 'default', 'const', 'enum', 'required']);

/**
 * Replaces each schema of a document by a shorter one with the same meaning. In particular, a value that can be null has
 * two types and not two variants, for which generators for Java and others make a class that nothing fills.
 */
export function simplifySchemas(document: object): void {
  for (const [name, member] of Object.entries(document)) {
    if (typeof member !== 'object' || member === null || data.has(name)) continue;
    if (!Array.isArray(member)) simplify(member as Schema);
    simplifySchemas(member);
  }
}

function simplify(schema: Schema): void {
  const { anyOf, propertyNames, type } = schema;
  if (Array.isArray(anyOf)) mergeNull(schema, anyOf as Schema[]);
  // Every name in JSON is a string.
  if (isSame(propertyNames, { type: 'string' })) delete schema['propertyNames'];
  // A pattern applies to strings only. Parameters have it for the text in the URL.
  if (type === 'integer' && typeof schema['pattern'] === 'string') delete schema['pattern'];
}

function mergeNull(schema: Schema, [variant, second, ...others]: readonly Schema[]): void {
  if (!isSame(second, { type: 'null' }) || others.length > 0 || typeof variant?.['type'] !== 'string') return;
  const { const: only, enum: values = only === undefined ? undefined : [only], ...rest } = variant;
  const type = [variant['type'], 'null'];
  const { anyOf: _, ...around } = schema;
  delete schema['anyOf'];
  Object.assign(schema, rest, { type }, Array.isArray(values) ? { enum: [...values, null] } : {}, around);
}

function isSame(value: unknown, other: object): boolean {
  return JSON.stringify(value) === JSON.stringify(other);
}
