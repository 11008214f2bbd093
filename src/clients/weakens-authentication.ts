import type { Client } from './client.ts';

type Demands = { [Demand in 'accessKey' | 'certificateBoundTokens' | 'dpopBoundTokens']?: Client[Demand] | undefined };

/** Whether a change drops something that a client must prove: DPoP, a certificate, or an access key. */
export function weakensAuthentication(client: Client, patch: Demands): boolean {
  return (
    (client.dpopBoundTokens && patch.dpopBoundTokens === false) ||
    (client.certificateBoundTokens && patch.certificateBoundTokens === false) ||
    (client.accessKey === 'required' && patch.accessKey === 'optional')
  );
}
