import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { writeCalendar } from '../../../attention/expiration-calendar.ts';
import { linkTo, type Message, msg, rich, t, translate } from '../languages/translate.ts';
import type { Listed, Page, ShownExpiration, Visit } from '../page.ts';
import { clientPath } from '../parts/client-path.ts';
import { exactMoment, fromNow, inUnit, pageHeading, pagination, table } from '../parts/elements.ts';
import { notice } from '../parts/notices.ts';

const path = '/console/expirations';
const lengths = ['7', '30', '90', '400'];
const defaultLength = '30';
/** Maximum number of events in a calendar file. */
const maxEvents = 2_000;
const pageSize = 200;

const kinds: Record<ShownExpiration['kind'], Message> = {
  access_key: msg('Access key'),
  certificate: msg('Certificate'),
  grace_period: msg('Grace period'),
  signing_key: msg('Signing key'),
};

/** Pages that list what ends in the next days, and offer it as a calendar file. */
export const expirationPages: readonly Page[] = [
  {
    method: 'get',
    path: '/expirations',
    permission: 'integrations:view',
    handle: async (visit) => {
      const days = visit.query['days'] || defaultLength;
      const { body } = await visit.call<Listed<ShownExpiration>>('GET /expirations', {
        query: { days, cursor: visit.query['cursor'] },
      });
      return {
        title: t('What ends soon'),
        section: 'home',
        body: html`${pageHeading({
          title: t('What ends soon'),
          lead: t('Everything that ends in the next {days} days, the first to end first.', { days }),
          actions: html`<a class="button" href=${`${path}.ics?days=${days}`}>${t('Download calendar')}</a>`,
          back: { path: '/console/', label: t('Home') },
        })}
          ${lengthLinks(days)}
          ${
            body.data.length === 0
              ? notice('ok', t('Nothing ends in the next {days} days.', { days }))
              : table({
                  caption: t('What ends, the first to end first'),
                  columns: [
                    { label: t('Ends') },
                    { label: t('Kind') },
                    { label: t('Name') },
                    { label: t('What happens') },
                  ],
                  rows: body.data.map((item) => rowOf(visit, item)),
                })
          }
          ${pagination(path, visit.query, body)}
          <p class="hint">
            ${t('The calendar is a file that you import into a calendar program. Import it again to update its events. Access tokens and sessions of the console are not listed.')}
          </p>`,
      };
    },
  },
  {
    method: 'get',
    path: '/expirations.ics',
    permission: 'integrations:view',
    handle: async (visit) => ({
      download: 'keyturn.ics',
      type: 'text/calendar; charset=utf-8',
      content: writeCalendar(await readAll(visit, visit.query['days'] || defaultLength), visit.now),
    }),
  },
];

/** Reads the items that end first, at most `maxEvents`. */
async function readAll(visit: Visit, days: string): Promise<ShownExpiration[]> {
  const items: ShownExpiration[] = [];
  for (let cursor: string | null | undefined; cursor !== null && items.length < maxEvents; ) {
    const query = { days, limit: String(pageSize), cursor };
    const { body }: { body: Listed<ShownExpiration> } = await visit.call('GET /expirations', { query });
    items.push(...body.data);
    cursor = body.next_cursor;
  }
  return items;
}

function lengthLinks(days: string): VNode {
  return html`<nav class="tabs" aria-label=${t('Time to look ahead')}>
    ${lengths.map(
      (each) =>
        html`<a href=${`${path}?days=${each}`} aria-current=${each === days ? 'true' : undefined}>${inUnit(Number(each), 'day')}</a> `,
    )}
  </nav>`;
}

function rowOf({ now }: Visit, item: ShownExpiration) {
  return [
    html`${fromNow(item.at, now)}<span class="under">${exactMoment(item.at)}</span>`,
    html`<span class="nowrap">${t(kinds[item.kind])}</span>`,
    html`<a class="strong" href=${pathOf(item)}>${item.kind === 'signing_key' ? t(kinds.signing_key) : item.name}</a>${
      item.contact_id !== null &&
      html`<span class="under">${rich('access key of <a>{contactName}</a>', { contactName: item.contact_name, a: linkTo(`/console/contacts/${item.contact_id}`) })}</span>`
    }`,
    html`${translate(item.message)}${item.next_step !== null && html`<span class="under">${translate(item.next_step)}</span>`}`,
  ];
}

function pathOf({ client_id: clientId, access_key_id: keyId }: ShownExpiration): string {
  if (clientId !== null) return clientPath(clientId);
  return keyId !== null ? `/console/access-keys/${keyId}` : '/console/signing-keys';
}
