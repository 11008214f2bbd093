import { fileURLToPath } from 'node:url';

/** The built program, as it is published. Every test run builds it first. */
export const program = fileURLToPath(new URL('../dist/main.js', import.meta.url));
