/**
 * Much is promised within a time, and a machine that others use breaks such a promise now and then: there, what fails is tried once
 * more, and the first failure is told. What is broken stays red.
 */
const { jest: here } = import.meta as ImportMeta & { jest: typeof jest };

if (process.env['CI']) here.retryTimes(1, { logErrorsBeforeRetry: true });
