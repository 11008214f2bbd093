import type { CertificateSubject } from './certificate-subject.ts';
import type { ClientJwks } from './client-jwks.ts';

/** A client of another server, as a file describes it. Nothing in it has been checked. */
export type ForeignClient = {
  /** Where it is in the file, such as `line 3`. */
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
  /** Undefined if the file does not say; then its tokens are bound if it authenticates with a certificate. */
  certificateBoundTokens: boolean | undefined;
  dpopBoundTokens: boolean;
  /** What it demands that cannot be carried over, each as a reason to refuse it. */
  unmet: readonly string[];
  /** What is left behind that weakens nothing, each as a sentence. */
  notes: readonly string[];
};

/** A client that is not imported, with every reason. No reason contains a value of a secret. */
export type RefusedClient = {
  place: string;
  /** Undefined if the file has none that can be shown. */
  clientId: string | undefined;
  reasons: readonly string[];
};
