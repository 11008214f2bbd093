import type { CertificateSubject } from './certificate-subject.ts';
import type { ClientJwks } from './client-jwks.ts';

/** A client of another server, as a file describes it. Nothing in it has been checked. */
export type ForeignClient = {
  /** The position in the file, such as `line 3`. */
  place: string;
  clientId: string;
  clientSecret: string | undefined;
  /** When the secret expires on the other server. */
  secretExpiresAt: Date | undefined;
  /** A secret that was rotated on the other server and is still accepted there until `endsAt`. */
  previousSecret: { secret: string; endsAt: Date } | undefined;
  name: string;
  enabled: boolean;
  scope: readonly string[];
  accessKey: 'optional' | 'required';
  reveal: boolean;
  /** The default resource server of the client. */
  resource: string | undefined;
  authMethod: string;
  /** The only algorithm that its assertions may be signed with (RFC 7591 §2 `token_endpoint_auth_signing_alg`). */
  signingAlgorithm: string | undefined;
  jwks: ClientJwks | undefined;
  jwksUri: string | undefined;
  certificateSubjects: readonly CertificateSubject[];
  /** Undefined if the file does not define it; tokens are then bound if the client authenticates with a certificate. */
  certificateBoundTokens: boolean | undefined;
  dpopBoundTokens: boolean;
  /** Security requirements that cannot be imported, each as a reason to reject the client. */
  unmet: readonly string[];
  /** Settings that are not imported and do not weaken security, each as a sentence. */
  notes: readonly string[];
};

/** A client that is not imported, with all reasons. No reason contains a secret. */
export type RefusedClient = {
  place: string;
  /** Undefined if the file has no Client ID that is safe to show. */
  clientId: string | undefined;
  reasons: readonly string[];
};
