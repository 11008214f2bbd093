import { parentPort, workerData } from 'node:worker_threads';
import { type AuditRowsSettings, createRowsCheck } from './audit-rows.ts';
import { createValuesCheck } from './audit-values.ts';

/** Entry of a thread that checks rows of the audit log, or their personal values if it gets no settings. */
const settings = workerData as AuditRowsSettings | undefined;
const check = settings ? createRowsCheck(settings) : createValuesCheck();
parentPort?.on('message', (json: string) => parentPort?.postMessage(check(json)));
