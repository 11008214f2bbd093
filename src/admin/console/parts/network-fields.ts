import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { t } from '../languages/translate.ts';
import type { ShownNetworkReport, ShownNetworks, Visit } from '../page.ts';
import { exactMoment } from './elements.ts';
import { type Entries, entry } from './entries.ts';
import { choices, textArea } from './forms.ts';

/** Fields and facts of the networks that clients, access keys and operator tokens are accepted from. */

/**
 * Renders the fields of the allowed networks.
 * @param canPropose whether a button fills in the networks that were seen.
 */
export function networkFields(
  entries: Entries,
  { canPropose, isReadOnly = false }: { canPropose: boolean; isReadOnly?: boolean },
): VNode {
  return html`${textArea({
    ...entry(entries, 'allowed_networks'),
    label: t('Allowed networks'),
    rows: 2,
    readonly: isReadOnly,
    hint: t('Addresses or networks such as 203.0.113.0/24, one per line. Leave this empty to allow every network.'),
  })}
  ${
    canPropose &&
    html`<p><button class="small" name="propose" value="on" formnovalidate>${t('Fill in the networks of the last 30 days')}</button></p>`
  }
  ${
    !isReadOnly &&
    choices({
      name: 'network_mode',
      label: t('Outside these networks'),
      value: entries.form.get('network_mode') ?? 'enforce',
      options: [
        { value: 'watch', label: t('Watch'), hint: t('Accept requests, and count what would be rejected.') },
        { value: 'enforce', label: t('Enforce'), hint: t('Reject requests like those with a wrong secret.') },
      ],
    })
  }`;
}

/** Converts submitted networks to members of a request. Fields that the form does not have are omitted. */
export function readNetworkForm(form: URLSearchParams): Record<string, unknown> {
  const text = form.get('allowed_networks');
  const networks = text?.split(/[\s,]+/).filter(Boolean);
  return {
    allowed_networks: networks && (networks.length > 0 ? networks : null),
    network_mode: form.get('network_mode') ?? undefined,
  };
}

export function toNetworkForm(shown: ShownNetworks, form: URLSearchParams): void {
  form.set('allowed_networks', (shown.allowed_networks ?? []).join('\n'));
  form.set('network_mode', shown.network_mode);
}

/**
 * Fills a form in with the networks that were seen, to be watched first. Does nothing unless the button asked for it.
 * @returns whether it did.
 */
export async function fillInNetworks(
  visit: Visit,
  path: NetworkPath,
  params: Record<string, string | undefined>,
): Promise<boolean> {
  const { form } = visit;
  if (!form.has('propose')) return false;
  form.delete('propose');
  const { proposed } = (await visit.call<ShownNetworkReport>(`GET ${path}/allowed-networks`, { params })).body;
  if (proposed.length > 0) {
    form.set('allowed_networks', proposed.join('\n'));
    form.set('network_mode', 'watch');
  }
  return true;
}

type NetworkPath = '/clients/{client_id}' | '/access-keys/{id}' | '/operator-tokens/{id}';

/** Returns where a credential is accepted from, and what its watch has counted, as one fact. */
export async function networkFact(
  visit: Visit,
  path: NetworkPath,
  params: Record<string, string | undefined>,
  { allowed_networks: networks, network_mode: mode }: ShownNetworks,
): Promise<VNode | string> {
  if (networks === null) return t('any network');
  const listed = networks.join(', ');
  if (mode === 'enforce' || visit.isOwnOnly) return listed;
  const { outside } = (await visit.call<ShownNetworkReport>(`GET ${path}/allowed-networks`, { params })).body;
  const { requests, last_address: address, last_at: at } = outside;
  return html`${listed}<span class="under">${
    at === null
      ? t('watched: nothing would have been rejected')
      : html`${t('watched: {requests, plural, one {# request} other {# requests}} would have been rejected, the last from {address}', { requests, address: address ?? '' })}, ${exactMoment(at)}`
  }</span>`;
}
