import { availableParallelism } from 'node:os';

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
  testSequencer: '<rootDir>/test/longest-first.js',
  globalSetup: '<rootDir>/test/global-setup.ts',
  globalTeardown: '<rootDir>/test/global-teardown.ts',
  setupFiles: ['<rootDir>/test/one-realm.ts'],
  // No promise about time: only a test that never ends reaches it, also on a busy machine.
  testTimeout: 300_000,
  // A worker keeps about 100 MB of each file that it has run. Near the limit of its heap it does little but collect garbage.
  workerIdleMemoryLimit: '1500MB',
  // Half of the cores, because the stores and the processes that tests start need the other half. On two cores two
  // workers, because many tests wait for an event most of the time.
  maxWorkers: Math.max(2, Math.floor(availableParallelism() / 2)),
};
