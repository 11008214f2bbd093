import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { invalidField, type KeyturnError } from '../../../../errors.ts';
import { parseStrictJson } from '../../../../http/strict-json.ts';
import { readCondition, writeCondition } from '../../../../trusts/condition-text.ts';
import { type PresetName, presetNames } from '../../../../trusts/trust.ts';
import { presets } from '../../../../trusts/trust-presets.ts';
import { t } from '../../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownTrust, type Visit } from '../../page.ts';
import { linesIn } from '../../parts/detail-fields.ts';
import { inWords, pageHeading } from '../../parts/elements.ts';
import { type Entries, entry, readEntries } from '../../parts/entries.ts';
import { formPage } from '../../parts/form-page.ts';
import { checkbox, choices, selectField, textArea, textField } from '../../parts/forms.ts';
import { requirePicked } from '../../parts/picker.ts';
import { platforms } from './platforms.ts';

const section = 'trusts';
const permission = 'api_key:manage';
const start = '/console/trusts';
const lifetimes = [300, 900, 3_600, 7_200, 43_200, 86_400];

/** Pages that create a trust, after a choice of the platform, or change one. */
export const trustFormPages: readonly Page[] = [
  {
    method: 'get',
    path: '/trusts/new',
    permission,
    asksProof: true,
    handle: async (visit) => {
      const { preset, client_id: clientId = '' } = visit.query;
      const chosen = presetNames.find((name) => name === preset);
      if (chosen === undefined) return showPlatforms(clientId);
      const form = new URLSearchParams({
        preset: chosen,
        client: clientId,
        issuer: presets[chosen].issuer ?? '',
        audience: visit.core.issuer,
        conditions: platforms[chosen].conditions,
        source: chosen === 'spiffe' ? 'jwks_uri' : 'discovery',
        max_lifetime: '86400',
        enabled: 'on',
      });
      return showForm(visit, { form });
    },
  },
  {
    method: 'post',
    path: '/trusts/new',
    permission,
    handle: async (visit) => {
      const { form, once } = visit;
      const result = await attempt(async () => {
        const picked = await requirePicked(visit, 'client', form.get('client') ?? '', ['integration']);
        const body = { client_id: picked.id, ...readForm(form) };
        return await visit.call<ShownTrust>('POST /trusts', { body, once });
      });
      if ('problem' in result) return showForm(visit, { form, problem: result.problem });
      return { seeOther: `${start}/${result.done.body.id}`, done: 'saved' };
    },
  },
  {
    method: 'get',
    path: '/trusts/:id/edit',
    permission,
    asksProof: true,
    handle: async (visit) => {
      const { body: trust, revision } = await find(visit);
      return showForm(visit, { form: toForm(trust), trust, revision });
    },
  },
  {
    method: 'post',
    path: '/trusts/:id/edit',
    permission,
    handle: async (visit) => {
      const { form } = visit;
      const { body: trust } = await find(visit);
      const revision = form.get('revision') ?? '';
      const params = { id: trust.id };
      const result = await attempt(async () =>
        visit.call('PATCH /trusts/{id}', { params, body: readForm(form), revision }),
      );
      if ('problem' in result) return showForm(visit, { form, trust, revision, problem: result.problem });
      return { seeOther: `${start}/${trust.id}`, done: 'saved' };
    },
  },
];

async function find(visit: Visit) {
  return await visit.call<ShownTrust>('GET /trusts/{id}', { params: { id: visit.params['id'] } });
}

/** Asks for the platform, whose claims the form then proposes. */
function showPlatforms(clientId: string): Reply {
  const title = t('New trust');
  return {
    title,
    section,
    body: html`${pageHeading({ title, lead: t('Where does the program run?'), back: { path: start, label: t('Workload identities') } })}
      <form class="card stack narrow" method="get" action=${`${start}/new`}>
        ${clientId && html`<input type="hidden" name="client_id" value=${clientId} />`}
        ${choices({
          name: 'preset',
          label: t('Platform'),
          value: 'github',
          options: Object.entries(platforms).map(([value, { name }]) => ({ value, label: t(name) })),
        })}
        <div class="actions"><button class="primary">${t('Continue')}</button><a class="button" href=${start}>${t('Cancel')}</a></div>
      </form>`,
  };
}

function showForm(
  visit: Visit,
  shown: { form: URLSearchParams; trust?: ShownTrust; revision?: string; problem?: KeyturnError },
): Reply {
  const { form, trust, revision, problem } = shown;
  const title = trust ? t('Edit {name}', { name: trust.name }) : t('New trust');
  const back = trust
    ? { path: `${start}/${trust.id}`, label: trust.name }
    : { path: start, label: t('Workload identities') };
  return formPage(visit, {
    title,
    section,
    back,
    problem,
    revision,
    submit: trust ? t('Save') : t('Create'),
    fields: fields(readEntries(form, problem), trust),
  });
}

function fields(entries: Entries, trust: ShownTrust | undefined): VNode {
  const { form } = entries;
  const platform = platforms[presetOf(form)];
  const longest = Number(form.get('max_lifetime'));
  return html`<input type="hidden" name="preset" value=${presetOf(form)} />
    <p class="hint">${t(platform.name)}: ${t(platform.hint)}</p>
    ${!trust && textField({ ...entry(entries, 'client'), label: t('Integration'), required: true, maxlength: 300, 'data-pick': 'integration' })}
    ${textField({ ...entry(entries, 'name'), label: t('Name'), required: true, maxlength: 200, hint: t('What it is for, such as the name of a program.') })}
    ${textField({ ...entry(entries, 'issuer'), label: t('Issuer'), required: true, maxlength: 2_000, placeholder: platform.issuer ?? '', hint: t('It is compared exactly, also a slash at the end.') })}
    ${textField({ ...entry(entries, 'audience'), label: t('Audience'), required: true, maxlength: 1_000, hint: t('The tokens must be for this audience alone.') })}
    ${textArea({
      ...entry(entries, 'conditions'),
      label: t('Conditions'),
      hint: t(
        'One per line; all must be met: claim=value, claim=one|another, or claim=beginning* within one segment of a path. A claim inside of others is a JSON Pointer.',
      ),
    })}
    ${selectField({
      ...entry(entries, 'source'),
      label: t('Public keys of the issuer'),
      options: [
        ['discovery', t('found by discovery')],
        ['jwks_uri', t('at the URL below')],
        ['jwks', t('the JWK set below')],
        ['in_cluster', t('from the API of the cluster')],
      ],
    })}
    ${textArea({ ...entry(entries, 'proof'), label: t('URL or JWK set'), maxlength: 100_000, rows: 3 })}
    ${textArea({
      ...entry(entries, 'ca'),
      label: t('CAs of the issuer in PEM'),
      maxlength: 40_000,
      rows: 3,
      hint: trust?.keys.has_ca
        ? t('Leave this empty to keep the current one.')
        : t('Leave this empty for an issuer whose certificate is publicly trusted.'),
    })}
    ${trust?.keys.has_ca && checkbox({ name: 'no_ca', label: t('Remove the CAs of this trust'), checked: form.has('no_ca') })}
    ${selectField({
      ...entry(entries, 'max_lifetime'),
      label: t('Longest lifetime of a token'),
      options: [...new Set([...lifetimes, longest])]
        .filter((seconds) => seconds >= 60)
        .sort((a, b) => a - b)
        .map((seconds) => [String(seconds), inWords(seconds)] as const),
      hint: t('A token can be used again until it expires.'),
    })}
    ${checkbox({ name: 'enabled', label: t('Its tokens are accepted'), checked: form.has('enabled') })}`;
}

function presetOf(form: URLSearchParams): PresetName {
  return presetNames.find((name) => name === form.get('preset')) ?? 'custom';
}

function toForm(trust: ShownTrust): URLSearchParams {
  const { source, jwks, jwks_uri: jwksUri } = trust.keys;
  return new URLSearchParams({
    preset: trust.preset,
    name: trust.name,
    issuer: trust.issuer,
    audience: trust.audience,
    conditions: trust.conditions.map(writeCondition).join('\n'),
    source,
    proof: jwksUri ?? (jwks ? JSON.stringify(jwks, null, 2) : ''),
    max_lifetime: String(trust.max_lifetime),
    ...(trust.enabled ? { enabled: 'on' } : {}),
  });
}

/** Converts the submitted form to the request body. @throws {InvalidInput} */
function readForm(form: URLSearchParams): Record<string, unknown> {
  const textOf = (name: string) => form.get(name)?.trim() ?? '';
  const ca = textOf('ca');
  return {
    preset: presetOf(form),
    name: textOf('name'),
    issuer: textOf('issuer'),
    audience: textOf('audience'),
    conditions: linesIn(textOf('conditions')).map((line) => {
      const condition = readCondition(line);
      if (condition) return condition;
      throw invalidField(
        'conditions',
        t('“{line}” is not a claim with a value, such as environment=production', { line }),
      );
    }),
    ...readKeys(textOf('source'), textOf('proof')),
    ...(ca === '' ? (form.has('no_ca') ? { ca: null } : {}) : { ca }),
    max_lifetime: Number(textOf('max_lifetime')),
    enabled: form.has('enabled'),
  };
}

function readKeys(source: string, given: string): Record<string, unknown> {
  if (source === 'in_cluster') return { in_cluster: true };
  if (source === 'jwks_uri') return { jwks_uri: given };
  if (source !== 'jwks') return { jwks_uri: null };
  try {
    return { jwks: parseStrictJson(given) };
  } catch {
    throw invalidField('proof', t('This is not a JWK set in JSON.'));
  }
}
