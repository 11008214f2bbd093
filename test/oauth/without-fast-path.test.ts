/** Runs the tests of tokens and introspection again without the fast path. */
process.env['TEST_FAST_PATH'] = 'off';
await import('./token.test.ts');
await import('./introspection.test.ts');
await import('../tokens/jwt-access-tokens.test.ts');

test('these tests run without the fast path', () => {
  expect(process.env['TEST_FAST_PATH']).toBe('off');
});
