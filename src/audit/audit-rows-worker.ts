import { parentPort, workerData } from 'node:worker_threads';
import { type AuditRowsSettings, createRowsCheck } from './audit-rows.ts';

/** Entry of a thread that checks rows of the audit log, because the hashing would delay requests. */
const check = createRowsCheck(workerData as AuditRowsSettings);
parentPort?.on('message', (json: string) => parentPort?.postMessage(check(json)));
