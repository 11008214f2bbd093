import type Router from '@koa/router';
import type { Context } from 'koa';
import type { Contact } from '../../../contacts/contact.ts';
import type { Core } from '../../../core.ts';
import { KeyturnError, NotFound } from '../../../errors.ts';
import type { IdentityProvider } from '../../../identity-providers/identity-provider.ts';
import type { SignedIn } from '../../../identity-providers/provider-connections.ts';
import { keepRefreshToken } from '../../../identity-providers/refresh-token-store.ts';
import { insertAttempt, type SignInAttempt, takeAttempt } from '../../../identity-providers/sign-in-attempt-store.ts';
import { findPerson, identityOf } from '../../../identity-providers/sign-in-person.ts';
import { findOrganization } from '../../../organizations/organization-store.ts';
import { digest, randomCode } from '../../../sessions/link-store.ts';
import { noteProof } from '../../../sessions/session-store.ts';
import { deploymentOrganization } from '../../../storage/organization-limit.ts';
import { t } from '../languages/translate.ts';
import { readForm } from '../post-redirect-get.ts';
import { addressOn, siteOf } from '../site.ts';
import { auditSignIn } from './prove.ts';
import {
  clearCookie,
  cookieNames,
  forgetSession,
  hashCookie,
  type Session,
  setCookie,
  setSessionCookie,
  startSession,
  type Visitor,
} from './session.ts';
import { continueForm, leadOn, ownPath, type Refusal, show, type signInForm } from './sign-in-forms.ts';

type Parts = {
  urlOf(ctx: Context): string;
  visitorOf(ctx: Context): Visitor;
  limited<T>(address: string, attempt: () => Promise<T>): Promise<T>;
  showSignIn(ctx: Context, form: Parameters<typeof signInForm>[0], refusal?: Refusal): Promise<void>;
  refused(ctx: Context, error: unknown): Refusal;
};

/**
 * Creates the handlers for signing in at an identity provider (OpenID Connect Core 1.0 §3.1). The cookie of an attempt is
 * sent when the provider leads the browser back. The session's own cookie is not, so a page of this site leads on from there.
 */
export function singleSignOn(core: Core, { urlOf, visitorOf, limited, showSignIn, refused }: Parts) {
  const attemptNames = (ctx: Context) => cookieNames(`${siteOf(ctx).cookie}-attempt`);

  /** Each provider has a redirect URI of its own, so that the answer of one is not taken for that of another (RFC 9700 §4.4.2). */
  const redirectUri = (ctx: Context, { id }: IdentityProvider) =>
    `${urlOf(ctx)}${addressOn(siteOf(ctx), `/console/sign-in/with/${id}/callback`)}`;

  /** The portal has providers of organizations only, because people of the deployment have no portal. */
  async function requireProvider(ctx: Context, id: string | undefined): Promise<IdentityProvider> {
    const provider = await core.providers.find(id ?? '');
    const isElsewhere = siteOf(ctx).name === 'portal' && provider?.organizationId === deploymentOrganization;
    if (!provider || isElsewhere) throw new NotFound('identity provider');
    return provider;
  }

  /** Sends the browser to a provider. A redirect after a form to another site would be blocked by `form-action`. */
  async function begin(ctx: Context, provider: IdentityProvider, attempt: Omit<SignInAttempt, 'provider'>) {
    const secret = randomCode();
    const isProof = attempt.session !== null;
    const to = await core.providers.start(provider, { secret, redirectUri: redirectUri(ctx, provider), isProof });
    await insertAttempt(core, digest(secret), { ...attempt, provider: provider.id }, core.clock());
    noteTls(ctx);
    setCookie(ctx, attemptNames(ctx), secret, '; Max-Age=600', true);
    show(ctx, leadOn(t('Continue at {name}', { name: provider.name }), to));
  }

  function noteTls(ctx: Context): void {
    if (urlOf(ctx).startsWith('https:')) ctx.state['isOverTls'] = true;
  }

  /** Ends an attempt with the answer of the provider. Returns the attempt, and what it says about the person. */
  async function finish(ctx: Context, provider: IdentityProvider): Promise<SignedIn & { attempt: SignInAttempt }> {
    const { secure, plain } = attemptNames(ctx);
    const name = ctx.cookies.get(secure) === undefined ? plain : secure;
    const secret = ctx.cookies.get(name);
    clearCookie(ctx, name);
    const attempt = secret && (await takeAttempt(core, digest(secret), provider.id, core.clock()));
    if (!secret || !attempt) {
      const message = 'This sign-in was not started in this browser, or more than ten minutes ago. Start it again.';
      throw new KeyturnError('sign_in_refused', 401, message);
    }
    const isProof = attempt.session !== null;
    const uri = redirectUri(ctx, provider);
    return {
      attempt,
      ...(await core.providers.finish(provider, { secret, redirectUri: uri, isProof }, ctx.URL.searchParams)),
    };
  }

  /** Starts a session, or renews the proof of one. Returns the new cookie. */
  async function accept(
    ctx: Context,
    provider: IdentityProvider,
    { attempt, claims, refreshToken }: SignedIn & { attempt: SignInAttempt },
  ): Promise<string> {
    const visitor = visitorOf(ctx);
    // Commit what the claims take away, also if the sign-in is refused.
    const contact = await core.change(async (transaction) => {
      const found = await findPerson(transaction, core, provider, claims);
      const at = new Date(core.clock());
      const person = found && { contact: found.id, subject: String(claims['sub']), refreshToken };
      if (person) await keepRefreshToken(transaction, core.keyRing, provider, person, at);
      return found;
    });
    requireAccess(provider, contact, visitor.site);
    const { sid } = claims;
    const person = { ...identityOf(provider, claims), sid: typeof sid === 'string' ? sid : undefined };
    const proved = { contact: contact.id, operatorToken: null, method: 'single_sign_on' as const, person };
    return await core.change(async (transaction) => {
      if (!(await findOrganization(transaction, contact.organizationId))?.enabled) throw notAllowed(provider);
      if (attempt.session !== null) {
        const cookie = visitor.mark + randomCode();
        const renewed = { id: attempt.session, contactId: contact.id, cookie: hashCookie(visitor.site, cookie) };
        if (!(await noteProof(transaction, renewed, new Date(core.clock())))) {
          throw new KeyturnError('sign_in_refused', 401, 'You confirmed as somebody else, or your session has ended.');
        }
        await auditSignIn(transaction, `${visitor.site}.prove`, proved, visitor.address, core.clock());
        return cookie;
      }
      if (visitor.cookie !== undefined) await forgetSession(transaction, visitor.site, visitor.cookie);
      await auditSignIn(transaction, `${visitor.site}.sign_in`, proved, visitor.address, core.clock());
      return await startSession(transaction, core, proved, visitor);
    });
  }

  async function handleAnswer(ctx: Context): Promise<void> {
    const provider = await requireProvider(ctx, ctx['params']['provider']);
    noteTls(ctx);
    let next: string | null = null;
    try {
      const { address } = visitorOf(ctx);
      const { attempt, cookie } = await limited(address, async () => {
        const done = await finish(ctx, provider);
        next = done.attempt.next;
        return { attempt: done.attempt, cookie: await accept(ctx, provider, done) };
      });
      setSessionCookie(ctx, cookie);
      if (attempt.kept === null)
        return show(ctx, leadOn(t('Signed in'), addressOn(siteOf(ctx), ownPath(attempt.next))));
      const body = continueForm({ action: ownPath(attempt.next), fields: new URLSearchParams(attempt.kept) });
      show(ctx, { title: t('Signed in'), body });
    } catch (error) {
      await showSignIn(ctx, { next }, refused(ctx, error));
    }
  }

  return {
    addRoutes(router: Router): void {
      router.post('/sign-in/with/:provider', async (ctx) => {
        const form = await readForm(ctx.req);
        const provider = await requireProvider(ctx, ctx['params']['provider']);
        const next = ownPath(form.get('next'));
        try {
          await begin(ctx, provider, { session: null, next, kept: form.get('kept') });
        } catch (error) {
          await showSignIn(ctx, { next, kept: form.get('kept') }, refused(ctx, error));
        }
      });
      router.get('/sign-in/with/:provider/callback', handleAnswer);
      router.get('/sign-in/find', (ctx) => showOrganization(ctx, ctx.URL.searchParams.get('q') ?? ''));
      router.get('/sign-in/:organization', (ctx) => showOrganization(ctx, ctx['params']['organization'] ?? ''));
    },

    addClosedRoutes(router: Router): void {
      router.post('/prove/with', async (ctx) => {
        const form = await readForm(ctx.req);
        const session = ctx.state['session'] as Session;
        const provider = await requireProvider(ctx, session.provider ?? undefined);
        await begin(ctx, provider, { session: session.id, next: ownPath(form.get('next')), kept: form.get('kept') });
      });
    },
  };

  /** Shows the providers of one organization. */
  async function showOrganization(ctx: Context, text: string): Promise<void> {
    const next = ctx.URL.searchParams.get('next');
    const providers = text === '' ? [] : await core.providers.findFor(text.trim());
    if (providers.length > 0) return await showSignIn(ctx, { next, providers, isOfOrganization: true });
    const problem = t(
      'No organization with an identity provider was found. Check the address, or ask your administrator.',
    );
    await showSignIn(ctx, { next }, { status: 404, problem });
  }
}

/** In the portal, a person without permissions sees their own access keys. */
function requireAccess(
  provider: IdentityProvider,
  contact: Contact | undefined,
  site: Visitor['site'],
): asserts contact is Contact {
  if (!contact || (contact.permissions.length === 0 && site === 'console')) throw notAllowed(provider);
}

function notAllowed({ name }: IdentityProvider): KeyturnError {
  return new KeyturnError(
    'sign_in_refused',
    403,
    `You have signed in at ${name}, but you have no access here. Ask your administrator for it.`,
  );
}
