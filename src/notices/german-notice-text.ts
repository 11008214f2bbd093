import type { Notice, NoticeTexts, Reminder } from './notice.ts';

const remaining: Readonly<Record<Reminder, string>> = {
  halfway: 'ist zur Hälfte vorbei',
  '30_days': 'endet in 30 Tagen',
  '14_days': 'endet in 14 Tagen',
  '7_days': 'endet in 7 Tagen',
  '3_days': 'endet in 3 Tagen',
  '1_day': 'endet in einem Tag',
  '1_hour': 'endet in einer Stunde',
};

const leaks = {
  client_secret: 'Ein Client-Secret',
  access_key: 'Ein Zugriffsschlüssel',
  access_token: 'Ein Zugriffstoken',
  operator_token: 'Ein Operator-Token',
} as const;

const nouns = {
  client: 'des Clients',
  access_key: 'des Zugriffsschlüssels',
  contact: 'des Kontakts',
  organization: 'der Organisation',
  signing_key: 'des Signaturschlüssels',
  webhook: 'des Webhooks',
  deleted_contact: 'des gelöschten Kontakts',
  root_key: 'des Root-Keys',
} as const;

const count = (number: number, one: string, many: string) => `${number} ${number === 1 ? one : many}`;
const sources = (number: number) => count(number, 'Quelle', 'Quellen');
const days = (number: number) => count(number, 'Tag', 'Tagen');

function thing({ subject, data }: Notice): string {
  return data.contact_name === undefined ? subject.name : `${subject.name} (${data.contact_name})`;
}

function progress({ data: { source_count: left = 0, moved_count: moved = 0 } }: Notice): string {
  if (left === 0 && moved === 0) return 'Keine Quelle verwendet die bisherigen Zugangsdaten.';
  if (left === 0) {
    return moved === 1
      ? 'Die einzige Quelle verwendet die neuen Zugangsdaten.'
      : `Alle ${moved} Quellen verwenden die neuen Zugangsdaten.`;
  }
  const all = moved + left;
  return `${moved} von ${sources(all)} ${moved === 1 ? 'verwendet' : 'verwenden'} die neuen Zugangsdaten, ${left} noch nicht.`;
}

const changes = ({ data: { added = [], removed = [] } }: Notice) =>
  [
    added.length > 0 ? `Hinzugefügt: ${added.join(', ')}.` : '',
    removed.length > 0 ? `Entfernt: ${removed.join(', ')}.` : '',
  ]
    .filter(Boolean)
    .join(' ');

const credential = ({ data }: Notice) =>
  data.credential === 'certificate' ? 'das Zertifikat' : 'der Zugriffsschlüssel';
const replaceIt = ({ data }: Notice) =>
  data.credential === 'certificate'
    ? 'Ersetzen Sie das Zertifikat.'
    : 'Setzen Sie ein späteres Ende, oder ersetzen Sie den Schlüssel.';

export const german: { texts: NoticeTexts; thing: typeof thing } = {
  thing,
  texts: {
    grace_period_began: (notice, of, time) => ({
      title: `${of}: Zugangsdaten rotiert, die Schonfrist hat begonnen`,
      message: `${notice.data.by} hat die Zugangsdaten rotiert. Die bisherigen gelten bis ${time(notice.data.ends_at)}. ${progress(notice)}`,
      step: 'Geben Sie jedem Programm die neuen Zugangsdaten, bevor die Schonfrist endet.',
    }),
    grace_period_reminder: (notice, of, time) => ({
      title: `${of}: Die Schonfrist ${remaining[notice.data.reminder ?? 'halfway']}`,
      message: `Die bisherigen Zugangsdaten werden ab ${time(notice.data.ends_at)} abgelehnt. ${progress(notice)}`,
      step:
        notice.data.source_count === 0
          ? 'Die Schonfrist kann jetzt beendet werden.'
          : 'Stellen Sie die genannten Quellen um, oder verlängern Sie die Schonfrist.',
    }),
    grace_period_ended: (notice, of, time) => ({
      title: `${of}: Die Schonfrist ist beendet`,
      message: `Die bisherigen Zugangsdaten werden seit ${time(notice.data.ends_at)} abgelehnt. ${progress(notice)}`,
      step: notice.data.source_count === 0 ? null : 'Geben Sie den genannten Quellen die aktuellen Zugangsdaten.',
    }),
    grace_period_undone: ({ data }, of) => ({
      title: `${of}: Die Rotation wurde rückgängig gemacht`,
      message: `${data.by} hat die Rotation rückgängig gemacht. Die bisherigen Zugangsdaten gelten wieder, die neuen werden abgelehnt.`,
      step: 'Geben Sie Programmen, die schon die neuen Zugangsdaten haben, wieder die bisherigen.',
    }),
    retired_credential_used: ({ data: { requests = 0, day, source_count: from = 0 } }, of) => ({
      title: `${of}: Abgelaufene Zugangsdaten werden noch verwendet`,
      message: `${count(requests, 'Anfrage wurde', 'Anfragen wurden')}${day === undefined ? ` von ${sources(from)}` : ` am ${day}`} abgelehnt, weil die Zugangsdaten nicht mehr gelten.`,
      step: 'Geben Sie diesen Quellen die aktuellen Zugangsdaten. Kennen Sie sie nicht, sind die Zugangsdaten vielleicht in fremde Hände gelangt.',
    }),
    credential_expiring: (notice, of, time) => ({
      title: `${of}: ${capital(credential(notice))} läuft in ${days(notice.data.days_left ?? 0)} ab`,
      message: `Anfragen damit werden ab ${time(notice.data.ends_at)} abgelehnt.`,
      step: replaceIt(notice),
    }),
    credential_expired: (notice, of, time) => ({
      title: `${of}: ${capital(credential(notice))} ist abgelaufen`,
      message: `Anfragen damit werden seit ${time(notice.data.ends_at)} abgelehnt.`,
      step: replaceIt(notice),
    }),
    credential_unused: ({ data }, of, time) => ({
      title: `${of}: seit 90 Tagen nicht verwendet`,
      message: data.last_used_at ? `Zuletzt verwendet: ${time(data.last_used_at)}.` : 'Nie verwendet.',
      step: 'Deaktivieren Sie die Zugangsdaten, wenn sie nicht gebraucht werden.',
    }),
    new_network: ({ data }, of) => ({
      title: `${of}: erstmals aus dem Netz ${data.network} verwendet`,
      message: 'Die Zugangsdaten wurden aus einem Netz verwendet, aus dem sie vorher nicht verwendet wurden.',
      step: 'Kennen Sie dieses Netz nicht, rotieren Sie die Zugangsdaten, und widerrufen Sie ihre Token.',
    }),
    handover_code_sent: ({ data }, of) => ({
      title: `${of}: Ein Code für eine Übergabe wurde gesendet`,
      message: `${data.by} hat den Code per E-Mail angefordert, um den Link zu öffnen, der ein neues Secret zeigt.`,
      step: null,
    }),
    leak_reported: ({ data }, of) => ({
      title: `${of}: Zugangsdaten sind in fremde Hände gelangt`,
      message: `${leaks[data.leaked ?? 'client_secret']}${data.hint ? ` mit dem Ende ${data.hint}` : ''} wurde in einem Text gefunden${data.still_valid ? `. Es gilt noch. Gesucht hat ${data.by}.` : ` und von ${data.by} widerrufen.`}`,
      step: data.still_valid
        ? 'Rotieren Sie es ohne Schonfrist, und widerrufen Sie seine Token.'
        : 'Finden Sie heraus, wo es veröffentlicht wurde. Programme, die es verwenden, brauchen ein neues.',
    }),
    permissions_changed: (notice, of) => ({
      title: `${of}: Die Berechtigungen ${nouns[notice.subject.type]} wurden geändert`,
      message: `Geändert von ${notice.data.by}. ${changes(notice)}`,
      step: 'Wenden Sie sich an einen Operator, wenn Sie das nicht erwartet haben.',
    }),
    operator_token_issued: ({ data }, of) => ({
      title: `${of}: Ein Operator-Token wurde ausgestellt`,
      message: `${data.by} hat ein Operator-Token mit dem Ende ${data.hint} ausgestellt. Wer es hat, handelt mit den Berechtigungen von ${of}.`,
      step: 'Widerrufen Sie es, wenn Sie das nicht erwartet haben.',
    }),
    portal_link_requested: ({ data }, of, time) => ({
      title: `${of}: Ein Anmeldelink für das Portal wurde angefordert`,
      message: `Ein Link, der als ${of} anmeldet, wird per E-Mail gesendet. Er gilt einmal, bis ${time(data.ends_at)}, in dem Browser, der ihn angefordert hat.`,
      step: null,
    }),
    signing_key_rotated: ({ data }) => ({
      title: 'Der Signaturschlüssel wurde rotiert',
      message: `${data.by} hat den Schlüssel rotiert, der JWT-Zugriffstoken signiert. Ausgestellte Token bleiben gültig.`,
      step: null,
    }),
    webhook_disabled: ({ data }, what) => ({
      title: `Der Webhook „${what}“ wurde deaktiviert`,
      message: `Ihm konnte nichts zugestellt werden. ${data.last_failure ?? ''}`.trim(),
      step: 'Reparieren Sie den Empfänger, aktivieren Sie den Webhook, und stellen Sie die Ereignisse der Zwischenzeit erneut zu.',
    }),
    invited: ({ data: { by, ends_at: end } }, of, time) => ({
      title: `${of}: Einladung von ${by}`,
      message: `${by} lädt Sie zu Keyturn ein. Der Link meldet Sie einmal an, bis ${time(end)}.`,
      step: 'Öffnen Sie den Link, und wählen Sie, wie Sie sich künftig anmelden. Kennen Sie den Absender nicht, beachten Sie diese Mail nicht.',
    }),
    approval_requested: ({ data: { by, approval } }, of) => ({
      title: `${of}: ${by} bittet um Ihre Zustimmung`,
      message: `${by} möchte ${acts[approval?.act ?? '']}.${approval?.reason ? ` Der Grund: ${approval.reason}` : ''}`,
      step: 'Stimmen Sie auf der Seite „Freigaben“ zu oder lehnen Sie ab, oder mit `keyturn approvals`.',
    }),
    approval_decided: ({ data: { by, approval } }, of) => ({
      title: `${of}: ${decisions[approval?.state ?? ''] ?? ''}`,
      message: `${approval?.state === 'expired' ? 'Über sie wurde nicht rechtzeitig entschieden, oder sie wurde nicht rechtzeitig ausgeführt' : `Entschieden hat ${by}`}.${approval?.note ? ` Die Bemerkung: ${approval.note}` : ''}`,
      step: approval?.state === 'approved' ? 'Führen Sie die Handlung innerhalb von 24 Stunden aus.' : null,
    }),
    approval_bypassed: ({ data: { by, act } }, of) => ({
      title: `${of}: Etwas wurde ohne Zustimmung getan`,
      message: `${by} konnte ohne die Zustimmung einer zweiten Person ${acts[act ?? '']}.`,
      step: 'Finden Sie im Audit-Protokoll heraus, warum.',
    }),
    root_key_old: ({ data, subject }) => ({
      title: `Der Root-Key ist ${days(data.age_days ?? 0).replace('Tagen', 'Tage')} alt`,
      message: `Version ${subject.id} des Root-Keys ist seit mehr als einem Jahr in Gebrauch.`,
      step: 'Rotieren Sie ihn mit `keyturn root-key rotate`.',
    }),
  },
};

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The requested acts that need approval, in words. */
const acts: Readonly<Record<string, string>> = {
  reveal: 'das Secret noch einmal anzeigen',
  revoke_all: 'alle Tokens widerrufen',
  delete: 'es löschen',
  erase: 'personenbezogene Werte im Audit-Protokoll löschen',
  root_key: 'den Hauptschlüssel erneuern',
  policies: 'die Richtlinien ändern',
};

const decisions: Readonly<Record<string, string>> = {
  approved: 'Ihrer Bitte wurde zugestimmt',
  refused: 'Ihre Bitte wurde abgelehnt',
  expired: 'Ihre Bitte ist verfallen',
};
