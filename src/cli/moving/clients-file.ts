import type { ForeignClient, RefusedClient } from '../../clients/foreign-client.ts';

/** Clients in a file before their members are read. */
export type FileContent = {
  clients: { place: string; value: unknown }[];
  refused: { place: string; reasons: string[] }[];
  warnings: string[];
};

/** Client that was read, or the reasons why it cannot be read. */
export type ReadClient = { row: Omit<ForeignClient, 'place'>; isMoved: boolean } | { reasons: string[] };

export type ForeignClients = {
  rows: ForeignClient[];
  refused: RefusedClient[];
  /** Clients that do not use the client credentials grant. */
  skipped: { place: string; clientId: string }[];
  warnings: string[];
};
