/** Whatever is true of tokens and introspection is true without the fast path: the same tests once more, with it off. */
process.env['TEST_FAST_PATH'] = 'off';
await import('./token.test.ts');
await import('./introspection.test.ts');
await import('../tokens/jwt-access-tokens.test.ts');

test('these tests run without the fast path', () => {
  expect(process.env['TEST_FAST_PATH']).toBe('off');
});
