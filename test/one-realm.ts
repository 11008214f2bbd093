/**
 * Jest runs each test file in its own realm, where errors created by Node (such as a refused connection) are not
 * `instanceof Error`. Production has one realm; this file makes tests behave the same.
 */
const ordinary = Function.prototype[Symbol.hasInstance];
const { isError } = Error as unknown as { isError: (value: unknown) => boolean };

Object.defineProperty(Error, Symbol.hasInstance, {
  value(this: unknown, value: unknown) {
    return this === Error ? isError(value) : ordinary.call(this as () => void, value);
  },
});
