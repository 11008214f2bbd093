/** Sorts the members of objects, because the database does not keep their order. */
export function canonical(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value ?? null;
  if (Array.isArray(value)) return value.map(canonical);
  const sorted: Record<string, unknown> = {};
  for (const name of Object.keys(value).sort()) {
    const member = canonical((value as Record<string, unknown>)[name]);
    // Assigning to `__proto__` would set the prototype and lose the member.
    if (name === '__proto__') Object.defineProperty(sorted, name, { value: member, enumerable: true });
    else sorted[name] = member;
  }
  return sorted;
}
