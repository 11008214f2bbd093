import type { Client } from './client.ts';

type Demands = { [Demand in 'accessKey' | 'certificateBoundTokens' | 'dpopBoundTokens']?: Client[Demand] | undefined };

/** Returns whether a change drops a requirement: a DPoP proof, a certificate, or an access key. */
export function weakensAuthentication(client: Client, patch: Demands): boolean {
  return (
    (client.dpopBoundTokens && patch.dpopBoundTokens === false) ||
    (client.certificateBoundTokens && patch.certificateBoundTokens === false) ||
    (client.accessKey === 'required' && patch.accessKey === 'optional')
  );
}
