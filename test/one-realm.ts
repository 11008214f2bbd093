/**
 * Jest runs each test file in a realm of its own, where an error that Node itself made (a refused connection, say) is not an
 * `instanceof Error`. In production there is one realm; this makes the tests see the same.
 */
const ordinary = Function.prototype[Symbol.hasInstance];
const { isError } = Error as unknown as { isError: (value: unknown) => boolean };

Object.defineProperty(Error, Symbol.hasInstance, {
  value(this: unknown, value: unknown) {
    return this === Error ? isError(value) : ordinary.call(this as () => void, value);
  },
});
