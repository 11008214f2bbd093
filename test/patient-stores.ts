import { setStoreDeadline } from '../src/storage/with-deadline.ts';

/** Longest wait of a request for a store in tests that are not about this limit, in milliseconds. */
export const patientMs = 10_000;

// Servers in processes of their own import this file at their start.
setStoreDeadline(patientMs);
