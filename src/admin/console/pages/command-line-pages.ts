import { html } from 'htm/preact';
import { InvalidInput } from '../../../errors.ts';
import { insertAttempt } from '../../../identity-providers/sign-in-attempt-store.ts';
import { digest, randomCode } from '../../../sessions/link-store.ts';
import { commandLine } from '../../command-line-token.ts';
import { rich, t } from '../languages/translate.ts';
import type { Page, Reply, Visit } from '../page.ts';
import { facts, permissionLabel } from '../parts/elements.ts';
import { hiddenFields, postForm } from '../parts/forms.ts';

/**
 * Pages that give a command line an operator token (RFC 8252 §7.3). The browser is led to the command line's own port on
 * this machine with a code, which the command line exchanges together with its PKCE verifier.
 */
export const commandLinePages: readonly Page[] = [
  {
    method: 'get',
    path: '/command-line',
    asksProof: true,
    handle: async (visit) => ask(visit, readRequest(new URLSearchParams(visit.query))),
  },
  {
    method: 'post',
    path: '/command-line',
    asksProof: true,
    handle: async (visit) => {
      const request = readRequest(visit.form);
      const code = randomCode();
      const { challenge: next, name } = request;
      const kept = JSON.stringify({ contact: visit.operator.id, name });
      const attempt = { provider: commandLine, session: visit.session, next, kept };
      await insertAttempt({ ...visit.core, database: visit.core.unlimitedDatabase }, digest(code), attempt, visit.now);
      const to = `${request.redirectUri}?${new URLSearchParams({ code, state: request.state })}`;
      return {
        title: t('Signed in'),
        refresh: to,
        body: html`<div class="narrow">
          <h1>${t('Signed in')}</h1>
          <p>${t('Return to the command line. You can close this page.')}</p>
          <p><a class="button primary" href=${to}>${t('Continue')}</a></p>
        </div>`,
      };
    },
  },
];

type Request = { redirectUri: string; state: string; challenge: string; name: string };

/** Reads the parameters of a command line. @throws {InvalidInput} if the browser would be led elsewhere than to it. */
function readRequest(parameters: URLSearchParams): Request {
  const redirectUri = parameters.get('redirect_uri') ?? '';
  const state = parameters.get('state') ?? '';
  const challenge = parameters.get('code_challenge') ?? '';
  const name = parameters.get('name') ?? '';
  // Only addresses of this machine: the code must not leave it.
  const isLoopback = /^http:\/\/(127\.0\.0\.1|\[::1\]):\d{1,5}\/callback$/.test(redirectUri);
  if (
    !isLoopback ||
    !/^[\w-]{20,100}$/.test(state) ||
    !/^[\w-]{43}$/.test(challenge) ||
    !/^[\w. -]{0,60}$/.test(name)
  ) {
    throw new InvalidInput('This request of a command line is not valid. Run `keyturn login` again.');
  }
  return { redirectUri, state, challenge, name };
}

function ask(visit: Visit, { redirectUri, state, challenge, name }: Request): Reply {
  const fields = new URLSearchParams({ redirect_uri: redirectUri, state, code_challenge: challenge, name });
  return {
    title: t('Sign in the command line'),
    body: html`<div class="narrow">
      <h1>${t('Sign in the command line')}</h1>
      <p>${rich('<code>keyturn login</code> asks for an operator token. Continue only if you have just run it yourself.')}</p>
      <section class="card">
        ${facts({
          [t('Computer')]: name || t('unknown'),
          [t('Permissions')]:
            html`<ul>${visit.operator.permissions.map((each) => html`<li>${permissionLabel(each)}</li>`)}</ul>`,
          [t('Expires')]: t('in 12 hours'),
        })}
        ${postForm(visit.path, html`${hiddenFields(fields)}<div class="actions"><button class="primary">${t('Allow')}</button><a class="button" href="/console/">${t('Cancel')}</a></div>`)}
      </section>
    </div>`,
  };
}
