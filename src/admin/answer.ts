/** The response of an endpoint. For idempotent endpoints it is stored. */
export type Answer = {
  status: number;
  headers?: Readonly<Record<string, string>>;
  body?: unknown;
  /**
   * The owner of a secret in the body, so that each later view of a stored response is recorded in the audit log. It is
   * not sent.
   */
  secretOf?: { targetType: 'client' | 'access_key' | 'operator_token'; target: string };
};
