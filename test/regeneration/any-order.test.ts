import { Agent } from 'node:http';
import fc from 'fast-check';
import type { Authentication } from '../../src/clients/client.ts';
import { requireClientOwner } from '../../src/clients/client-store.ts';
import {
  deleteClient,
  disableClient,
  enableClient,
  generateClient,
  registerClient,
  revokeClientTokens,
} from '../../src/clients/manage-clients.ts';
import type { Core } from '../../src/core.ts';
import type { Registration } from '../../src/credentials/registration.ts';
import { KeyturnError } from '../../src/errors.ts';
import { lockSecretOwner } from '../../src/leaks/end-leak.ts';
import { finishRegeneration, finishUnused, undoRegeneration } from '../../src/regeneration/end-regeneration.ts';
import { markMoved } from '../../src/regeneration/mark-moved.ts';
import { regenerateSecret } from '../../src/regeneration/regenerate-secret.ts';
import { followProgress } from '../../src/regeneration/regeneration-progress.ts';
import { requireRegeneration } from '../../src/regeneration/regeneration-store.ts';
import { reviewRegeneration } from '../../src/regeneration/review.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { post } from '../oauth/http-client.ts';
import {
  current,
  enable,
  finish,
  finishUnused as finishUnusedInModel,
  type Instance,
  isLive,
  type Model,
  type ModelSecret,
  mayRegenerate,
  newModel,
  progress,
  regenerate,
  revoke,
  running,
  seen,
  tokenIsLive,
  tokenMs,
  undo,
  unused,
  use as useInModel,
} from './model.ts';
import { askWith, makeKey, makeSelfSigned, type Proof, proofEnv, registrationOf } from './proof.ts';

const stepsInARun = 100;
const runs = Number(process.env['ANY_ORDER_RUNS'] ?? 50);
/** Fixed, so that a change of the code decides whether the test passes. Set another one, with more runs, to explore. */
const seed = Number(process.env['ANY_ORDER_SEED'] ?? 20_261_129);
/** Address of all programs, also of those whose certificate a proxy forwards. */
const address = '127.0.0.1';
const agent = new Agent({ keepAlive: true });
const actor = { id: 'test', name: 'test', address: null };

type Step =
  | { do: 'generate'; kind: Proof['kind'] }
  | { do: 'review'; to: Proof['kind'] }
  | { do: 'disable' | 'enable' | 'revoke' | 'wait for the end' }
  | {
      do: 'regenerate';
      to: Proof['kind'];
      overlap: number;
      newId: boolean;
      revokeTokens: boolean;
      finishWhenUnused: boolean;
      confirmed: boolean;
    }
  | { do: 'use new'; as: Instance }
  | { do: 'use old'; which: number; as: Instance }
  | { do: 'mark as moved'; as: Instance }
  | { do: 'move'; as: Instance; seconds: [afterOld: number, afterNew: number] }
  | { do: 'undo' | 'finish' | 'look at a token'; which: number }
  | { do: 'advance time'; seconds: number };

const fewSeconds = fc.integer({ min: 1, max: 5_000 });
const which = fc.nat({ max: 9 });
const to = fc.constantFrom<Proof['kind']>('secret', 'key', 'certificate');
const as = fc.constantFrom<Instance>(undefined, 'pod-a', 'pod-b');
const always = (name: 'disable' | 'enable' | 'revoke' | 'wait for the end') => fc.constant<Step>({ do: name });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ do: fc.constant('generate' as const), kind: to }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('review' as const), to }) },
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant('regenerate' as const),
      to,
      overlap: fc.constantFrom(0, 1, 60, 86_400, 2_592_000),
      newId: fc.boolean(),
      revokeTokens: fc.integer({ min: 0, max: 5 }).map((value) => value === 0),
      finishWhenUnused: fc.boolean(),
      // Usually confirm right after a review, as operators do.
      confirmed: fc.integer({ min: 0, max: 3 }).map((value) => value > 0),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('undo' as const), which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('finish' as const), which }) },
  { weight: 2, arbitrary: always('disable') },
  { weight: 5, arbitrary: always('enable') },
  { weight: 2, arbitrary: always('revoke') },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('use new' as const), as }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('use old' as const), which, as }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('mark as moved' as const), as }) },
  {
    weight: 12,
    arbitrary: fc.record({ do: fc.constant('move' as const), as, seconds: fc.tuple(fewSeconds, fewSeconds) }),
  },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('look at a token' as const), which }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('advance time' as const),
      seconds: fc.oneof(fewSeconds, fc.integer({ min: 1, max: 200_000 })),
    }),
  },
  { weight: 3, arbitrary: always('wait for the end') },
);

describe('a client that is changed in random order', () => {
  let server: TestServer;
  let core: Core;
  let api: { id: string; secret: string };
  let now = Date.now();

  beforeAll(async () => {
    server = await startTestServer({ clock: () => now, env: proofEnv });
    ({ core } = server);
    api = await generateApi();
  });
  afterAll(async () => {
    agent.destroy();
    await server.close();
  });

  async function generateApi() {
    const input = { name: 'API', kind: 'resource_server', resource: 'https://api.example' } as const;
    const made = await core.change((transaction) => generateClient(transaction, core, actor, input));
    return { id: made.client.clientId, secret: made.clientSecret };
  }

  /** Registers an integration that authenticates in one of the ways. */
  async function generate(kind: Proof['kind']): Promise<{ id: string; proof: Proof }> {
    const input = { name: 'Shop', kind: 'integration', certificateBoundTokens: false } as const;
    const proof = await makeNext(kind);
    if (proof === 'secret') {
      const made = await core.change((transaction) => generateClient(transaction, core, actor, input));
      return { id: made.client.clientId, proof: { kind: 'secret', secret: made.clientSecret } };
    }
    const authentication = replacementOf(proof);
    const client = await core.change((transaction) =>
      registerClient(transaction, core, actor, input, authentication as Authentication),
    );
    return { id: client.clientId, proof };
  }

  async function makeNext(kind: Proof['kind']): Promise<Exclude<Proof, { kind: 'secret' }> | 'secret'> {
    if (kind === 'secret') return 'secret';
    return kind === 'key' ? await makeKey() : makeSelfSigned();
  }

  function replacementOf(next: Proof | 'secret'): Registration {
    if (next === 'secret' || next.kind === 'secret') {
      return { authMethod: 'client_secret_basic', jwks: null, jwksUri: null, certificateSubject: null };
    }
    const { auth_method: authMethod, jwks } = registrationOf(next);
    return { authMethod, jwks, jwksUri: null, certificateSubject: null };
  }

  /** Returns what replaces the current credential; undefined if a secret follows a secret. */
  function replaceBy(model: Model, next: Proof | 'secret'): Registration | undefined {
    return next === 'secret' && current(model).proof.kind === 'secret' ? undefined : replacementOf(next);
  }

  /** Returns the result, or the code of the error if the operation was rejected. */
  async function attempt<T>(work: () => Promise<T>): Promise<T | string> {
    return await work().catch((error: unknown) => {
      if (error instanceof KeyturnError) return error.code;
      throw error;
    });
  }

  /** Sends a request and retries 503, because a slow store says nothing about a secret. */
  async function ask(path: string, form: Record<string, string>, { id, secret }: { id: string; secret: string }) {
    for (;;) {
      const answer = await post(`${server.publicUrl}/oauth2/${path}`, form, { basic: [id, secret], agent });
      if (answer.status !== 503) return answer;
    }
  }

  async function askToken({ id, proof }: ModelSecret, instance: Instance) {
    const headers = instance === undefined ? {} : { 'Keyturn-Instance': instance };
    for (;;) {
      const answer = await askWith(`${server.publicUrl}/oauth2/token`, id, proof, {
        now,
        agent,
        headers,
        from: address,
      });
      if (answer.status !== 503) return answer;
    }
  }

  async function use(model: Model, secret: ModelSecret, instance?: Instance): Promise<void> {
    const answer = await askToken(secret, instance);
    const good = model.enabled && isLive(model, secret);
    expect(answer.status).toBe(good ? 200 : 401);
    if (!good) return;
    expect(answer.headers['sunset'] !== undefined).toBe(Number.isFinite(secret.retiresAt));
    useInModel(model, secret, instance);
    const endsAt = Math.floor(now / 1_000) * 1_000 + tokenMs;
    model.tokens.push({ value: answer.json['access_token'] as string, from: secret, epoch: model.epoch, endsAt });
  }

  async function look(model: Model, token: Model['tokens'][number]): Promise<void> {
    const answer = await ask('introspect', { token: token.value }, api);
    expect(answer.json['active']).toBe(tokenIsLive(model, token));
  }

  /** Compares which instances have moved in the running grace period. */
  async function lookAtProgress(model: Model): Promise<void> {
    await core.usage.flush();
    const regeneration = running(model);
    if (!regeneration) return;
    const owner = await core.change((transaction) => requireClientOwner(transaction, model.id));
    const found = await requireRegeneration(core.database, owner, regeneration.id);
    const [shown] = await followProgress(core.database, core, owner, [found]);
    const names = (instances: Instance[]) => instances.map(String).sort();
    const expected = progress(model, regeneration);
    // The server ends an unused grace period every few seconds, so it may have done that already.
    const isEnded = shown?.state === 'finished' && unused(model) === regeneration;
    expect({
      state: shown?.state,
      moved: names(shown?.moved.map(({ instance }) => instance) ?? []),
      still: names(shown?.stillUsingOld.map(({ instance }) => instance) ?? []),
    }).toEqual({
      state: isEnded ? 'finished' : 'overlapping',
      moved: names(expected.moved),
      still: names(expected.still),
    });
  }

  /** Compares the progress, and ends the grace period if it is unused, which the server does every few seconds. */
  async function settle(model: Model): Promise<void> {
    await lookAtProgress(model);
    await finishUnused({ ...core, lockOwner: lockSecretOwner });
    finishUnusedInModel(model);
  }

  async function take(model: Model, step: Step): Promise<void> {
    switch (step.do) {
      case 'generate':
        return void Object.assign(model, newModel(now, await generate(step.kind)));
      case 'review': {
        const next = await makeNext(step.to);
        await core.usage.flush();
        const { confirmation } = await core.change(async (transaction) => {
          const owner = await requireClientOwner(transaction, model.id);
          return await reviewRegeneration(transaction, core, owner, replaceBy(model, next));
        });
        model.confirmation = {
          value: confirmation,
          seen: seen(model),
          next,
          endsAt: Math.floor(now / 1_000) * 1_000 + 600_000,
        };
        return;
      }
      case 'regenerate': {
        if (step.confirmed) await take(model, { do: 'review', to: step.to });
        await core.usage.flush();
        // Without a review of its own, the earlier one may have been of something else.
        const next = step.confirmed && model.confirmation ? model.confirmation.next : await makeNext(step.to);
        const expected = mayRegenerate(model, next);
        const made = await attempt(() =>
          core.change(async (transaction) =>
            regenerateSecret(transaction, core, actor, await requireClientOwner(transaction, model.id), {
              confirmation: model.confirmation?.value,
              replace: replaceBy(model, next),
              overlapSeconds: step.overlap,
              newClientId: step.newId,
              revokeTokens: step.revokeTokens,
              finishWhenUnused: step.finishWhenUnused,
            }),
          ),
        );
        if (!expected) return expect(made).toBe('confirmation_required');
        if (typeof made === 'string') throw new Error(`not regenerated: ${made}`);
        const { regenerationId, secret, plaintext } = made;
        const id = secret.clientId as string;
        expect(id !== model.id).toBe(step.newId);
        return regenerate(
          model,
          { regenerationId, id, proof: next === 'secret' ? { kind: 'secret', secret: plaintext as string } : next },
          { ...step, overlapMs: step.overlap * 1_000 },
        );
      }
      case 'undo':
      case 'finish': {
        const index = step.which % Math.max(1, model.regenerations.length);
        const id = model.regenerations[index]?.id;
        if (id === undefined) return;
        const end = step.do === 'undo' ? undoRegeneration : finishRegeneration;
        const ended = await attempt(() =>
          core.change(async (transaction) =>
            end(transaction, core, actor, await requireClientOwner(transaction, model.id), id),
          ),
        );
        const possible = step.do === 'undo' ? undo(model, index) : finish(model, index);
        return expect(typeof ended === 'string' ? ended.replace(/_.*/, '') : 'done').toBe(
          possible ? 'done' : 'regeneration',
        );
      }
      case 'disable':
      case 'enable': {
        const change = step.do === 'disable' ? disableClient : enableClient;
        await core.change((transaction) => change(transaction, core, actor, model.id));
        return enable(model, step.do === 'enable');
      }
      case 'revoke':
        await core.change((transaction) => revokeClientTokens(transaction, core, actor, model.id));
        return revoke(model);
      case 'use new':
        return await use(model, current(model), step.as);
      case 'use old': {
        const secret = model.secrets.at(-1 - (step.which % model.secrets.length)) as ModelSecret;
        return await use(model, secret, step.as);
      }
      case 'move': {
        await use(model, running(model)?.old ?? current(model), step.as);
        await take(model, { do: 'advance time', seconds: step.seconds[0] });
        await settle(model);
        await use(model, current(model), step.as);
        await settle(model);
        return await take(model, { do: 'advance time', seconds: step.seconds[1] });
      }
      case 'mark as moved': {
        const regeneration = running(model);
        if (!regeneration) return;
        await core.usage.flush();
        const expected = progress(model, regeneration);
        const known = [...expected.moved, ...expected.still].includes(step.as);
        const source = { address, userAgent: '', instance: step.as };
        const marked = await attempt(() =>
          core.change(async (transaction) => {
            const owner = await requireClientOwner(transaction, model.id);
            return await markMoved(transaction, core, actor, owner, regeneration.id, source);
          }),
        );
        expect(typeof marked === 'string' ? marked : 'done').toBe(known ? 'done' : 'not_found');
        if (known) regeneration.marks.set(step.as, now);
        return;
      }
      case 'look at a token': {
        const token = model.tokens.at(-1 - (step.which % Math.max(1, model.tokens.length)));
        return token && (await look(model, token));
      }
      case 'advance time':
        now += step.seconds * 1_000;
        break;
      case 'wait for the end': {
        const ends = model.secrets.map(({ retiresAt }) => retiresAt).filter((end) => end > now && Number.isFinite(end));
        now = ends[0] ?? now;
        break;
      }
    }
    model.now = now;
  }

  it('accepts exactly the secrets and tokens that the model predicts, and always at least one secret', async () => {
    let steps = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: stepsInARun, maxLength: stepsInARun }), async (sequence) => {
        const model = newModel(now, await generate('secret'));
        for (const step of sequence) {
          await take(model, step);
          await settle(model);
          const live = model.secrets.filter((secret) => isLive(model, secret)).length;
          expect(live === 1 || live === 2).toBe(true);
          steps += 1;
        }
        for (const secret of model.secrets) await use(model, secret);
        for (const token of model.tokens.slice(-10)) await look(model, token);
        await take(model, { do: 'disable' });
        await core.change((transaction) => deleteClient(transaction, core, actor, model.id));
      }),
      // Each attempt to find a shorter sequence takes seconds.
      { numRuns: runs, seed, endOnFailure: true },
    );
    expect(steps).toBeGreaterThanOrEqual(runs * stepsInARun);
  }, 600_000);
});
