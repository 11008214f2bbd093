/** The credential of a program. Other members are kept. */
export type Credentials = Readonly<Record<string, unknown>> & { client_id: string };

/** The rotation that is under way. It is stored before the first request, so that the agent can continue. */
export type Started = {
  idempotency_key: string;
  overlap_seconds: number;
  /** The next private key as a JWK, of a client that authenticates with one. */
  next_private_key?: Readonly<Record<string, unknown>>;
};

export type Stored = { credentials: Credentials; started: Started | undefined };

/** Where a program reads its credential from. */
export type CredentialStore = {
  /** How messages call it. */
  name: string;
  /** @throws {CommandEnd} 2 if there is no credential; {StoreBusy} if it cannot be read now. */
  read(): Promise<Stored>;
  /**
   * Replaces the credential and the rotation at once, or the credential first.
   * @throws {CommandEnd} 1 if somebody else has changed them since they were read; {StoreBusy} if they cannot be written
   *   now.
   */
  write(stored: Stored): Promise<void>;
};

/** The store cannot be reached. The agent tries again. */
export class StoreBusy extends Error {}
