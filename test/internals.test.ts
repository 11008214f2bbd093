import { canReadPlainly, canWritePlainly } from '../src/internals/node-http.ts';

/** Each test fails if an upgrade of a dependency moves a private part that src/internals/ uses. */

describe('node:http', () => {
  test('still has the private members that read bodies without streams: _consuming, _readableState.endEmitted', () => {
    expect(canReadPlainly).toBe(true);
  });

  test('still has the private members that write answers without streams: _header, _keepAliveTimeout, finished', () => {
    expect(canWritePlainly).toBe(true);
  });
});
