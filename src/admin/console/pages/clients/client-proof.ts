import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { subjectFields } from '../../../../clients/certificate-subject.ts';
import { readCertificateKeys } from '../../../../clients/replacement.ts';
import { InvalidInput } from '../../../../errors.ts';
import { parseStrictJson } from '../../../../http/strict-json.ts';
import { type Message, msg, t } from '../../languages/translate.ts';
import type { ShownClient, Visit } from '../../page.ts';
import { type Entries, entry } from '../../parts/entries.ts';
import { choices, postForm, selectField, textArea } from '../../parts/forms.ts';

type AuthMethod = ShownClient['auth_method'];

type Method = {
  /** The noun for the credential. */
  noun: 'secret' | 'key' | 'certificate' | 'identity';
  label: Message;
  /** The instruction for the text field; absent for a secret, which Keyturn generates. */
  ask?: Message;
  /** The error if nothing is entered in the text field. */
  needs?: Message;
};

const methods: Record<AuthMethod, Method> = {
  client_secret_basic: { noun: 'secret', label: msg('A client secret in the Authorization header') },
  client_secret_post: { noun: 'secret', label: msg('A client secret in the request body') },
  private_key_jwt: {
    noun: 'key',
    label: msg('A JWT signed with its own key'),
    ask: msg('Enter the JWK set with its public keys, or the https URL of that set.'),
  },
  self_signed_tls_client_auth: {
    noun: 'certificate',
    label: msg('A self-signed TLS certificate'),
    ask: msg('Enter the certificate in PEM, several of them one after the other, or a JWK set with x5c.'),
  },
  tls_client_auth: {
    noun: 'certificate',
    label: msg('A TLS certificate of a trusted authority'),
    ask: msg('Enter the name that the certificate contains, such as CN=sync,O=Example,C=DE.'),
  },
  workload_identity: {
    noun: 'identity',
    label: msg('Tokens of a trusted platform, without any secret'),
    needs: msg('Operators create a trust of this integration first, under “Workload identities”.'),
  },
};

const subjectLabels: Record<(typeof subjectFields)[number], Message> = {
  tls_client_auth_subject_dn: msg('Subject (distinguished name)'),
  tls_client_auth_san_dns: msg('DNS name'),
  tls_client_auth_san_uri: msg('URI'),
  tls_client_auth_san_ip: msg('IP address'),
  tls_client_auth_san_email: msg('E-mail address'),
};

/** Returns the noun for the credential of an authentication method. */
export function nounOf(method: AuthMethod): Method['noun'] {
  return methods[method].noun;
}

/** Returns the noun for a credential, in the language of the request. */
export function nounText(noun: Method['noun']): string {
  return t(nouns[noun]);
}

const nouns = { secret: msg('secret'), key: msg('key'), certificate: msg('certificate'), identity: msg('identity') };

/** Returns whether token requests of an integration need an access key. */
export function accessKeyUse(use: unknown): string | undefined {
  if (use === undefined) return undefined;
  return use === 'required' ? t('required') : t('optional');
}

/** Renders how a client authenticates as a sentence, with the code of the method in small print. */
export function methodLabel(method: AuthMethod): VNode {
  return html`${t(methods[method].label)} <code class="fine">${method}</code>`;
}

/** Renders what an operator can do with the credential of a client. */
export function credentialActs({ site }: Visit, client: ShownClient, at: string): VNode | null {
  const noun = nounOf(client.auth_method);
  const trusts =
    client.kind === 'integration' &&
    site.hasPage('get', '/console/trusts') &&
    html`<a class="button" href=${`/console/trusts?client_id=${encodeURIComponent(client.client_id)}`}>${t('Workload identities…')}</a>`;
  if (noun !== 'secret') {
    return html`<div class="actions"><a class="button" href=${`${at}/replace`}>${t('Replace {noun}…', { noun })}</a>${trusts}</div>`;
  }
  const current = client.secrets.find(({ status }) => status === 'current');
  if (!current) return null;
  return html`<div class="actions">
    ${client.reveal && !current.awaits_first_use && postForm(`${at}/reveal`, html`<button>${t('Show secret')}</button>`)}
    <a class="button" href=${`${at}/regenerate`}>${t('Regenerate…')}</a>
    <a class="button" href=${`${at}/handover`}>${t('Hand over…')}</a>
    <a class="button" href=${`${at}/replace`}>${t('Use a key or certificate…')}</a>${trusts}
  </div>`;
}

/** Renders the form fields for how a client authenticates. The default is a client secret. */
export function proofFields(entries: Entries): VNode {
  return html`<div class="proof stack">
    ${choices({
      ...entry(entries, 'auth_method'),
      label: t('The client authenticates with'),
      value: authMethodOf(entries.form),
      options: Object.entries(methods).map(([method, { ask, needs }]) => ({
        value: method,
        label: methodLabel(method as AuthMethod),
        hint: (ask ?? needs) && t(ask ?? needs ?? ''),
      })),
    })}
    <div class="of-subject">
      ${selectField({
        ...entry(entries, 'subject_field'),
        label: t('Certificate field'),
        options: subjectFields.map((field) => [field, t(subjectLabels[field])] as const),
      })}
    </div>
    <div class="of-proof">
      ${textArea({
        ...entry(entries, 'proof'),
        label: t('Keys or certificate'),
        maxlength: 100_000,
        rows: 6,
        hint: t('Enter public data, never a private key.'),
      })}
    </div>
  </div>`;
}

/** Returns how a client authenticates as the entries of its form. Certificates are long and are left out. */
export function toProofForm(client: ShownClient): URLSearchParams {
  const form = new URLSearchParams({ auth_method: client.auth_method });
  const subject = subjectFields.find((field) => client[field] !== undefined);
  if (subject) form.set('subject_field', subject);
  const keys = client.auth_method === 'private_key_jwt' && client.jwks && JSON.stringify(client.jwks, null, 2);
  form.set('proof', (subject && client[subject]) ?? client.jwks_uri ?? (keys || ''));
  return form;
}

export function authMethodOf(form: URLSearchParams): AuthMethod {
  const method = form.get('auth_method') ?? '';
  return Object.hasOwn(methods, method) ? (method as AuthMethod) : 'client_secret_basic';
}

/**
 * Converts the submitted method with its keys or certificate to members of the request body.
 * @throws {InvalidInput} if the method needs keys or a certificate and they are missing or cannot be read.
 */
export function readProof(form: URLSearchParams): Record<string, unknown> {
  const method = authMethodOf(form);
  const { ask } = methods[method];
  if (ask === undefined) return { auth_method: method };
  const proof = form.get('proof')?.trim();
  if (!proof) throw wrongProof(t(ask));
  return { auth_method: method, ...readKeys(method, form, proof) };
}

function readKeys(method: AuthMethod, form: URLSearchParams, proof: string): Record<string, unknown> {
  if (method === 'tls_client_auth') {
    const field = subjectFields.find((each) => each === form.get('subject_field')) ?? 'tls_client_auth_subject_dn';
    return { [field]: proof };
  }
  if (method === 'private_key_jwt' && /^https?:/.test(proof)) return { jwks_uri: proof };
  if (method === 'self_signed_tls_client_auth' && proof.includes('-----BEGIN')) {
    return { jwks: { keys: readCertificateKeys(proof) } };
  }
  try {
    return { jwks: parseStrictJson(proof) };
  } catch {
    throw wrongProof(`${t('This is not a JWK set in JSON.')} ${t(methods[method].ask ?? '')}`);
  }
}

function wrongProof(message: string): InvalidInput {
  return new InvalidInput(message, [{ path: 'proof', message }]);
}
