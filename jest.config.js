export default {
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      { swcrc: false, jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'es6' } },
    ],
  },
  globalSetup: '<rootDir>/test/global-setup.ts',
  globalTeardown: '<rootDir>/test/global-teardown.ts',
  setupFiles: ['<rootDir>/test/one-realm.ts'],
  setupFilesAfterEnv: ['<rootDir>/test/retry-in-ci.ts'],
  testTimeout: 30_000,
  // Half of the cores: the other half is for the stores and the processes that tests start, which answer within time limits.
  maxWorkers: '50%',
};
