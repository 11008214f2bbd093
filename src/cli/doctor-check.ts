/** One result of `keyturn doctor`. */
export type Check = {
  name:
    | 'configuration'
    | 'issuer'
    | 'certificate'
    | 'listeners'
    | 'proxies'
    | 'root key'
    | 'database'
    | 'schema'
    | 'clock'
    | 'secrets'
    | 'redis';
  status: 'ok' | 'warn' | 'fail';
  message: string;
  /** Describes how to fix the problem. */
  advice?: string;
};
