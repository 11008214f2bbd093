import { type Command, InvalidArgumentError, Option } from 'commander';
import { subjectFields } from '../clients/certificate-subject.ts';
import { readCertificates } from '../http/tls-files.ts';
import type { Json } from './call-admin.ts';
import { readJsonFile, readNamedFile } from './named-files.ts';

export type KeyOptions = {
  jwks?: Json;
  jwksUri?: string;
  certificate?: object[];
  authMethod?: string;
  trust?: string;
  certificateBoundTokens?: boolean;
  dpopBoundTokens?: boolean;
} & Readonly<Record<string, unknown>>;

/** Adds the options for clients that authenticate without a secret. */
export function withKeys(command: Command): Command {
  return withProof(command)
    .addOption(new Option('--certificate-bound-tokens', "bind tokens to the client's certificate (RFC 8705 §3)"))
    .addOption(
      new Option(
        '--no-certificate-bound-tokens',
        'do not bind tokens to a certificate, even if the client authenticates with one',
      ),
    )
    .addOption(new Option('--dpop-bound-tokens', 'require a DPoP proof for each token (RFC 9449 §5.2)'))
    .addOption(new Option('--no-dpop-bound-tokens', 'do not require a DPoP proof'));
}

/** Adds the options that name the keys or certificate with which a client authenticates instead of a secret. */
export function withProof(command: Command): Command {
  command
    .option('--jwks <file>', "private_key_jwt: a file with the client's public keys (JWKS)", readJsonFile)
    .option('--jwks-uri <url>', "private_key_jwt: the https URL of the client's public keys")
    .option(
      '--certificate <file>',
      "self_signed_tls_client_auth: a PEM file with the client's certificates; repeatable",
      readCertificate,
    );
  for (const field of subjectFields) {
    const subject =
      field === 'tls_client_auth_subject_dn' ? 'subject' : `subject alternative name (${field.slice(20)})`;
    command.option(`--${field.replaceAll('_', '-')} <name>`, `tls_client_auth: ${subject} of the client's certificate`);
  }
  return command;
}

/** Returns the new credential of a client, or undefined if no option names one. */
export function toReplacement(options: KeyOptions): Json | undefined {
  const { tls_client_certificate_bound_access_tokens: _, dpop_bound_access_tokens: __, ...keys } = toKeyFields(options);
  const method = options.authMethod ?? (options.certificate && 'self_signed_tls_client_auth');
  const given = Object.entries({ auth_method: method, trust: options.trust, ...keys }).filter(
    ([, value]) => value !== undefined,
  );
  return given.length > 0 ? Object.fromEntries(given) : undefined;
}

/** Converts these options to the fields of the admin API. */
export function toKeyFields(options: KeyOptions): Json {
  const camel = (field: string) => field.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  return {
    jwks: options.jwks ?? (options.certificate && { keys: options.certificate }),
    jwks_uri: options.jwksUri,
    ...Object.fromEntries(subjectFields.map((field) => [field, options[camel(field)]])),
    tls_client_certificate_bound_access_tokens: options.certificateBoundTokens,
    dpop_bound_access_tokens: options.dpopBoundTokens,
  };
}

/** Returns each certificate as a JWK that contains it (RFC 8705 §2.2.2). */
function readCertificate(path: string, earlier: readonly object[] = []): object[] {
  const pem = readNamedFile(path);
  const certificates = attempt(() => readCertificates(pem, 'The file'));
  const keys = certificates.map(({ publicKey, raw }) => ({
    ...publicKey.export({ format: 'jwk' }),
    x5c: [raw.toString('base64')],
  }));
  return [...earlier, ...keys];
}

function attempt<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
