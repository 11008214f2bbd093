import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContext } from 'playwright-core';
import { describeWith } from '../programs.ts';
import { askWith, makeKey, makeSelfSigned, type Proof, proofEnv, registrationOf } from '../regeneration/proof.ts';
import { type ConsoleServer, launchBrowser, startConsole } from './console-server.ts';

const minute = 60_000;
const hour = 60 * minute;

/**
 * Directory for a screenshot of each state at two widths, in light and dark, to look at. Without it, only the texts are
 * compared.
 */
const sheets = process.env['ROTATION_SHEETS'];
const looks = (['light', 'dark'] as const).flatMap((theme) => [390, 1_280].map((width) => ({ theme, width })));

/** Each state of the review and the progress of a rotation, as an operator sees it. */
describeWith('Chromium').each(['secret', 'key', 'certificate', 'access key'] as const)(
  'the pages of a rotation of a %s',
  (kind) => {
    let now = Date.now();
    let server: ConsoleServer;
    let browser: Browser;
    const contexts: BrowserContext[] = [];
    let token: string;
    let partner: string;

    beforeAll(async () => {
      server = await startConsole({ env: proofEnv, clock: () => now });
      browser = await launchBrowser();
      ({ token } = await server.operator());
      const api = { name: 'API', kind: 'resource_server', resource: 'https://orders.example', information: ['orders'] };
      await send('/clients', api);
      ({ id: partner } = await send('/contacts', { name: 'Partner', email: 'partner@example.com' }));
      for (const { theme, width } of sheets ? looks : looks.slice(1, 2)) {
        contexts.push(await browser.newContext({ colorScheme: theme, viewport: { width, height: 900 } }));
      }
    });
    afterAll(async () => {
      await browser?.close();
      await server?.close();
    });

    async function send(path: string, body: object = {}, method = 'POST') {
      const { status, json, text } = await server.adminFetch(path, { method, body });
      if (status > 299) throw new Error(`${method} ${path}: ${text}`);
      return json;
    }

    /** An owner of a credential. @property path of its endpoints; its page is the same below `/console`. */
    type Owner = { path: string; clientId: string; proof: Proof; accessKey?: string };
    type Source = { at: string; agent?: string; instance?: string };

    const makeProof = async (): Promise<Proof> =>
      kind === 'key' ? await makeKey() : kind === 'certificate' ? makeSelfSigned() : { kind: 'secret', secret: '' };

    async function register(name: string): Promise<Owner> {
      const proof = await makeProof();
      const registration =
        proof.kind === 'secret'
          ? { access_key: 'optional' }
          : { ...registrationOf(proof), tls_client_certificate_bound_access_tokens: false };
      const made = await send('/clients', { name, kind: 'integration', scope: 'orders:read', ...registration });
      const { client_id: clientId, client_secret: secret } = made;
      const own: Proof = proof.kind === 'secret' ? { kind: 'secret', secret } : proof;
      if (kind !== 'access key') return { path: `/clients/${clientId}`, clientId, proof: own };
      const key = await send(`/contacts/${partner}/access-keys`, { name, permissions: { orders: ['read'] } });
      return { path: `/access-keys/${key.id}`, clientId, proof: own, accessKey: key.access_key };
    }

    /** Requests a token from each source. */
    async function use(owner: Owner, ...sources: readonly Source[]): Promise<number[]> {
      const statuses: number[] = [];
      for (const { at, agent = 'order-sync/3.1', instance } of sources) {
        const named = instance === undefined ? {} : { 'Keyturn-Instance': instance };
        const form = {
          grant_type: 'client_credentials',
          ...(owner.accessKey === undefined ? {} : { access_key: owner.accessKey }),
        };
        const headers = { 'User-Agent': agent, ...named };
        const forwarded = owner.proof.kind === 'certificate' ? {} : { 'X-Forwarded-For': at };
        const { status } = await askWith(`${server.publicUrl}/oauth2/token`, owner.clientId, owner.proof, {
          now,
          form,
          headers: { ...headers, ...forwarded },
          from: owner.proof.kind === 'certificate' ? at : '127.0.0.2',
        });
        statuses.push(status);
      }
      await server.core.usage.flush();
      return statuses;
    }

    /** Rotates the credential. Returns the rotation's ID and the owner with the new credential. */
    async function rotate(owner: Owner, options: object = {}): Promise<{ id: string; fresh: Owner }> {
      const next = await makeProof();
      const replace = next.kind === 'secret' ? {} : { replace: registrationOf(next) };
      const { confirmation } = await send(`${owner.path}/regeneration/review`, replace);
      const body = { confirmation, overlap_seconds: 7 * 86_400, ...replace, ...options };
      const made = await send(`${owner.path}/regenerate`, body);
      const proof: Proof = next.kind === 'secret' ? { kind: 'secret', secret: made.client_secret } : next;
      const fresh = kind === 'access key' ? { ...owner, accessKey: made.access_key } : { ...owner, proof };
      return { id: made.regeneration_id, fresh };
    }

    /**
     * Opens a page of the console, and returns its text. Fails if the page is wider than the window.
     * @param enter fills in the page and sends it.
     */
    async function look(name: string, path: string, enter?: Record<string, string>): Promise<string> {
      let text = '';
      for (const [index, context] of contexts.entries()) {
        const { theme, width } = looks[sheets ? index : 1] as (typeof looks)[number];
        const page = context.pages()[0] ?? (await context.newPage());
        // Signs in again, because the clock has passed the time for which a proof counts.
        await context.clearCookies();
        await page.goto(`${server.adminUrl}${path}`);
        const field = page.locator('[name=token]');
        if ((await field.count()) > 0) {
          await field.fill(token);
          await Promise.all([page.waitForEvent('load'), page.click('main button')]);
          await page.goto(`${server.adminUrl}${path}`);
        }
        for (const [selector, value] of Object.entries(enter ?? {})) await page.fill(selector, value);
        if (enter) await Promise.all([page.waitForEvent('load'), page.click('main form button.primary')]);
        text = ((await page.locator('main').textContent()) ?? '').replace(/\s+/g, ' ');
        const wide = await page.evaluate<number>('document.documentElement.scrollWidth');
        expect([name, width, wide]).toEqual([name, width, width]);
        if (!sheets) continue;
        mkdirSync(sheets, { recursive: true });
        const file = `${kind.replace(' ', '-')}-${name}-${width}-${theme}.png`;
        const section = page.locator('#regenerations');
        const shown = (await section.count()) > 0 ? section : page.locator('main');
        await shown.screenshot({ path: join(sheets, file) });
      }
      return text;
    }

    const noun = kind === 'access key' ? 'key' : kind;
    const reviewPage = async (name: string, owner: Owner): Promise<string> => {
      if (kind === 'secret' || kind === 'access key') return await look(name, `/console${owner.path}/regenerate`);
      const proof = (await makeProof()) as Exclude<Proof, { kind: 'secret' }>;
      const entered =
        proof.kind === 'certificate' ? proof.certificate.cert : JSON.stringify(registrationOf(proof).jwks, null, 2);
      return await look(name, `/console${owner.path}/replace`, { '[name=proof]': entered });
    };

    it('say before the rotation who uses the credential, and afterwards of each source whether and why it has moved', async () => {
      const owner = await register(`Shop (${kind})`);
      const unused = await reviewPage('review-unused', owner);
      expect(unused).toContain(`The ${noun} was not used in the last 30 days`);

      const gone = { at: '198.51.100.1', instance: 'pod-7f9c' };
      const back = { at: '198.51.100.2', instance: 'pod-1' };
      const [moved, recent, programs] = [{ at: '198.51.100.3' }, { at: '198.51.100.4' }, { at: '198.51.100.5' }];
      const [busy, nightly, long, never] = [
        { at: '198.51.100.6' },
        { at: '198.51.100.7', agent: 'order-export/1.4 (nightly; a user agent with a long description of the job)' },
        { at: '2001:db8:85a3:8d3:1319:8a2e:370:7348' },
        { at: '198.51.100.9', agent: '' },
      ];
      const ttl = async (value: number | null) =>
        await send(`/clients/${owner.clientId}`, { access_token_ttl: value }, 'PATCH');
      await ttl(86_400);
      await use(owner, long);
      await ttl(null);
      await use(owner, nightly);
      now += 8 * hour;
      await use(owner, nightly, moved, gone, back, never, { at: 'nonsense' });
      for (let count = 0; count < 3; count++) {
        now += minute;
        await use(owner, programs);
      }
      const review = await reviewPage('review', owner);
      expect(review).toContain('8 sources use the');
      expect(review).toContain('never: its address is unknown');
      expect(review).toContain('if it has obtained 3 tokens with the new one');

      const { id, fresh } = await rotate(owner, { finish_when_unused: true });
      const progressAt = `/console${owner.path}`;
      expect(await look('progress-start', progressAt)).toContain('0 of 8 sources have moved');
      now += minute;
      await use(fresh, moved, programs, nightly, long);
      now += 90 * minute;
      for (let count = 0; count < 3; count++) {
        now += minute;
        await use(owner, busy, ...(count === 2 ? [recent] : []));
      }
      now += minute;
      await use(fresh, recent, busy);
      const [ownerRow] = await server.core.database.query<{ id: string; generation: number }>(
        `SELECT coalesce(o.client, o.access_key) AS id, o.generation FROM regenerations r JOIN secrets o ON o.id = r.old_secret WHERE r.id = $1`,
        [id],
      );
      const previous = { owner: ownerRow?.id ?? '', generation: ownerRow?.generation ?? 0, epoch: 0 };
      server.core.usage.used(previous, { address: '*', userAgent: '' });
      const mark = async (act: string, { at, instance = null }: { at: string; instance?: string | null }) =>
        await send(`${owner.path}/regenerations/${id}/${act}`, { address: at, user_agent: 'order-sync/3.1', instance });
      await mark('mark-moved', gone);
      await mark('mark-moved', back);
      now += minute;
      await use(owner, back);
      const text = await look('progress', progressAt);
      for (const expected of [
        'It has never used the new',
        'less than a token lifetime ago',
        'or as soon as it has obtained 2 more tokens with the new',
        'its longest pause between two uses is 8 hours',
        'are still active',
        'but held several tokens at a time',
        'An operator marked it on',
        'Withdraw mark',
        'An operator marked it as moved on',
        'Its address is unknown',
        'This row combines all further sources',
        'has not used the previous',
      ]) {
        expect(text).toContain(expected);
      }
      for (const act of ['finish', 'undo', 'extend']) {
        await look(`ask-${act}`, `${progressAt}/regenerations/${id}/${act}`);
      }
      const place = `address=198.51.100.1&user_agent=${encodeURIComponent('order-sync/3.1')}&instance=pod-7f9c`;
      await look('ask-mark', `${progressAt}/regenerations/${id}/mark-moved?${place}`);
      await look('ask-unmark', `${progressAt}/regenerations/${id}/unmark-moved?${place}`);
      const during = await reviewPage('review-during-grace', fresh);
      expect(during).toContain('A grace period is already running');

      await send(`${owner.path}/regenerations/${id}/finish`);
      // An access key that has ended is an error of the request, not of the client.
      const refused = kind === 'access key' ? 400 : 401;
      expect(await use(owner, never, gone)).toEqual([refused, refused]);
      expect(await look('finished', progressAt)).toContain('198.51.100.9');
    });

    it('say when all sources have moved, when none used the previous one, and that a rotation was undone', async () => {
      const owner = await register(`Moved (${kind})`);
      const first = await rotate(owner);
      expect(await look('progress-unused', `/console${owner.path}`)).toContain('was not used in the last 30 days');
      await use(first.fresh, { at: '198.51.100.1' });
      await send(`${owner.path}/regenerations/${first.id}/undo`);
      expect(await look('undone', `/console${owner.path}`)).toContain('undone');
      await use(owner, { at: '198.51.100.1' });
      const second = await rotate(owner);
      now += minute;
      await use(second.fresh, { at: '198.51.100.1' });
      now += 2 * hour;
      expect(await look('progress-moved', `/console${owner.path}`)).toContain('The only source has moved to the new');
      await look('ask-finish-moved', `/console${owner.path}/regenerations/${second.id}/finish`);
    });
  },
);
