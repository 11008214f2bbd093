import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { InvalidInput } from '../../../../errors.ts';
import { parseStrictJson } from '../../../strict-json.ts';
import { choices, textArea } from '../../parts/fields.ts';
import type { ShownClient } from '../../shown.ts';

type AuthMethod = ShownClient['auth_method'];

/** Renders the form fields for a new client's authentication method. The default is a client secret. */
export function proofFields(form: URLSearchParams): VNode {
  const method = authMethodOf(form);
  return html`<details open=${hasProof(method)}>
    <summary>Other authentication methods</summary>
    ${choices({
      name: 'auth_method',
      label: html`<span class="unseen">Authentication method</span>`,
      value: method,
      options: [
        { value: 'client_secret_basic', label: 'Client secret in the Authorization header (client_secret_basic)' },
        { value: 'client_secret_post', label: 'Client secret in the request body (client_secret_post)' },
        {
          value: 'private_key_jwt',
          label: 'JWT signed with its own key (private_key_jwt)',
          hint: whatGoesIn.private_key_jwt,
        },
        {
          value: 'tls_client_auth',
          label: 'TLS certificate of a trusted authority (tls_client_auth)',
          hint: whatGoesIn.tls_client_auth,
        },
        {
          value: 'self_signed_tls_client_auth',
          label: 'Self-signed TLS certificate (self_signed_tls_client_auth)',
          hint: whatGoesIn.self_signed_tls_client_auth,
        },
      ],
    })}
    ${proofField(form, 'Only for the last three methods. Enter public data, never a private key.')}
  </details>`;
}

/**
 * Renders a form field for new keys or a new certificate. Returns undefined if the client authenticates with a secret.
 */
export function newProofField(method: AuthMethod, form: URLSearchParams): VNode | undefined {
  if (!hasProof(method)) return undefined;
  return proofField(
    form,
    `New values replace all registered ones. Leave this empty to keep them. ${whatGoesIn[method]}`,
  );
}

export function authMethodOf(form: URLSearchParams): AuthMethod {
  return (form.get('auth_method') ?? 'client_secret_basic') as AuthMethod;
}

/** Returns whether a method authenticates with a key or a certificate instead of a secret. */
export function hasProof(method: AuthMethod): method is keyof typeof whatGoesIn {
  return Object.hasOwn(whatGoesIn, method);
}

/**
 * Converts the submitted keys or certificate subject to members of the request body.
 * @throws {InvalidInput} if the keys are not valid JSON.
 */
export function readProof(method: AuthMethod, form: URLSearchParams): Record<string, unknown> {
  const proof = form.get('proof')?.trim();
  if (!proof) return {};
  if (method === 'tls_client_auth') return { tls_client_auth_subject_dn: proof };
  if (method === 'private_key_jwt' && proof.startsWith('https:')) return { jwks_uri: proof };
  return hasProof(method) ? { jwks: readJwks(proof) } : {};
}

function readJwks(text: string): unknown {
  try {
    return parseStrictJson(text);
  } catch {
    throw new InvalidInput('Keys or certificate: must be a JWK set in JSON.');
  }
}

const whatGoesIn = {
  private_key_jwt: 'Enter the JWK set with its public keys below, or the https URL of that set.',
  tls_client_auth: 'Enter the subject of the certificate below, such as CN=sync,O=Example,C=DE.',
  self_signed_tls_client_auth: 'Enter a JWK set that contains the certificate (x5c) below.',
};

function proofField(form: URLSearchParams, hint: string): VNode {
  return textArea({
    name: 'proof',
    label: 'Keys or certificate',
    value: form.get('proof') ?? '',
    maxlength: 100_000,
    hint,
  });
}
