import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { InvalidInput, type KeyturnError } from '../../../../errors.ts';
import { type Message, msg, rich, t } from '../../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownWebhook, type ShownWebhookTest, type Visit } from '../../page.ts';
import { confirmedAct } from '../../parts/confirmed-act.ts';
import type { Done } from '../../parts/done.ts';
import { apiText, pageHeading } from '../../parts/elements.ts';
import { entry, readEntries } from '../../parts/entries.ts';
import { postForm, textField } from '../../parts/forms.ts';
import { notice, problemNotice } from '../../parts/notices.ts';

const section = 'webhooks';
const permission = 'api_key:manage';
const path = '/webhooks/:id';

/** Pages that test, enable, disable, replay or delete a webhook, or end the grace period of its signing secret. */
export const webhookActPages: readonly Page[] = [
  { method: 'post', path: `${path}/test`, permission, handle: test },
  {
    method: 'post',
    path: `${path}/enable`,
    permission,
    handle: async (visit) => {
      await visit.call('POST /webhooks/{id}/enable', of(visit));
      return { seeOther: at(visit), done: 'webhook-enabled' };
    },
  },
  { method: 'get', path: `${path}/replay`, permission, handle: async (visit) => showReplay(visit, await find(visit)) },
  { method: 'post', path: `${path}/replay`, permission, handle: replay },
  ...act('disable', 'POST /webhooks/{id}/disable', msg('Disable'), 'webhook-disabled', (name) => ({
    title: t('Disable {name}?', { name }),
    body: html`<p>${t('Nothing is delivered until it is enabled. You can then deliver the events of the meantime again.')}</p>`,
  })),
  ...act('rotation/finish', 'POST /webhooks/{id}/rotation/finish', msg('End grace period now'), 'finished', (name) => ({
    title: t('End the grace period of {name} now?', { name }),
    body: html`<p>${t('Receivers that have only the previous signing secret reject every event.')}</p>`,
  })),
  ...act('rotation/undo', 'POST /webhooks/{id}/rotation/undo', msg('Undo rotation'), 'undone', (name) => ({
    title: t('Undo the rotation of {name}?', { name }),
    body: html`<p>${t('The previous signing secret is current again. Nothing is signed with the new one any more.')}</p>`,
  })),
  ...act('delete', 'DELETE /webhooks/{id}', msg('Delete'), 'deleted', (name) => ({
    title: t('Delete {name}?', { name }),
    body: html`<p>${t('Its signing secret never works again. Events that were not delivered are dropped.')}</p>`,
  })),
];

function act(
  name: string,
  route: 'DELETE /webhooks/{id}' | `POST /webhooks/{id}/${string}`,
  button: Message,
  done: Done,
  describe: (name: string) => { title: string; body: VNode },
): Page[] {
  return confirmedAct({
    path: `${path}/${name}`,
    permission,
    confirm: async (visit) => {
      const webhook = await find(visit);
      const back = { path: at(visit), label: webhook.name };
      return { ...describe(webhook.name), section, button: t(button), back };
    },
    act: async (visit) => {
      await visit.call(route, of(visit));
      return { seeOther: name === 'delete' ? '/console/webhooks' : at(visit), done };
    },
  });
}

async function test(visit: Visit): Promise<Reply> {
  const webhook = await find(visit);
  const { body } = await visit.call<ShownWebhookTest>('POST /webhooks/{id}/test', of(visit));
  const title = t('Test of {name}', { name: webhook.name });
  return {
    title,
    section,
    body: html`${pageHeading({ title, back: { path: at(visit), label: webhook.name } })}
      ${
        body.delivered
          ? notice(
              'ok',
              html`<p>${rich('<strong>Delivered.</strong> The receiver answered with status {status}.', { status: body.status })}</p>`,
            )
          : notice('bad', html`<p><strong>${t('Not delivered.')}</strong> ${body.reason && apiText(body.reason)}</p>`)
      }
      <p>${rich('The event had the ID <code>{eventId}</code> and the type <code>dev.keyturn.test</code>.', { eventId: body.event_id })}</p>
      <div class="actions">
        ${postForm(visit.path, html`<button>${t('Send another one')}</button>`)}<a class="button" href=${at(visit)}>${t('Go to {name}', { name: webhook.name })}</a>
      </div>`,
  };
}

async function replay(visit: Visit): Promise<Reply> {
  const webhook = await find(visit);
  const result = await attempt(async () => {
    const since = visit.form.get('since') ?? '';
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(since)) {
      throw new InvalidInput('Enter a date and time.', [{ path: 'since', message: t('must be a date and time') }]);
    }
    await visit.call('POST /webhooks/{id}/replay', { ...of(visit), body: { since: `${since.slice(0, 16)}:00Z` } });
  });
  if ('problem' in result) return showReplay(visit, webhook, result.problem);
  return { seeOther: at(visit), done: 'webhook-replayed' };
}

function showReplay(visit: Visit, { name }: ShownWebhook, problem?: KeyturnError): Reply {
  const title = t('Deliver events to {name} again', { name });
  return {
    ...(problem ? { status: problem.status } : {}),
    title,
    section,
    body: html`${pageHeading({
      title,
      lead: t(
        'All events since then are delivered in their order and with the same IDs, also those that were delivered.',
      ),
      back: { path: at(visit), label: name },
    })}
    ${problem && problemNotice(problem)}
    <div class="card narrow">
      ${postForm(
        visit.path,
        html`${textField({
          ...entry(readEntries(visit.form, problem), 'since'),
          label: t('Since, in UTC'),
          type: 'datetime-local',
          required: true,
        })}
          <div class="actions"><button class="primary">${t('Deliver again')}</button><a class="button" href=${at(visit)}>${t('Cancel')}</a></div>`,
      )}
    </div>`,
  };
}

async function find(visit: Visit): Promise<ShownWebhook> {
  return (await visit.call<ShownWebhook>('GET /webhooks/{id}', of(visit))).body;
}

function of({ params }: Visit) {
  return { params: { id: params['id'] } };
}

function at({ params }: Visit): `/console/${string}` {
  return `/console/webhooks/${params['id']}`;
}
