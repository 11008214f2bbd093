/**
 * Retries a failed test once in CI and logs the first failure, because a busy machine can break a promise about time.
 */
const { jest: here } = import.meta as ImportMeta & { jest: typeof jest };

if (process.env['CI']) here.retryTimes(1, { logErrorsBeforeRetry: true });
