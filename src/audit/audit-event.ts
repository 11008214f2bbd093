/** Originator of an action: an operator over HTTP, the user who runs the command line, or Keyturn itself. */
export type Actor = { id: string; name: string; address: string | null };

export type AuditEvent = {
  at: Date;
  actor: Actor;
  /** `noun.verb`, for example `client.disable`. */
  action: string;
  targetType:
    | 'client'
    | 'contact'
    | 'access_key'
    | 'operator_token'
    | 'signing_key'
    | 'root_key'
    | 'token'
    | 'deployment'
    | 'address';
  target: string;
  /** State before and after the action, as JSON values. */
  before?: Record<string, unknown>;
  after?: Record<string, unknown>;
};
