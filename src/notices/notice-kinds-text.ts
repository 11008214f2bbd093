import type { NoticeKind } from './notice.ts';

/** Names of the kinds of notices, as people choose among them. */
export const kindNames: Readonly<Record<'en' | 'de', Readonly<Record<NoticeKind, string>>>> = {
  en: {
    grace_period_began: 'A credential was rotated, and its grace period began',
    grace_period_reminder: 'A grace period is half over or ends soon, with the sources that have not moved',
    grace_period_ended: 'A grace period ended',
    grace_period_undone: 'A rotation was undone',
    retired_credential_used: 'An ended credential is still used',
    credential_expiring: 'An access key or a certificate expires soon',
    credential_expired: 'An access key or a certificate has expired',
    credential_unused: 'An integration or an access key was not used for 90 days',
    new_network: 'A credential was used from a new network for the first time',
    leak_reported: 'A credential has leaked',
    permissions_changed: 'The permissions of a contact, an access key or an organization were changed',
    operator_token_issued: 'An operator token was issued',
    signing_key_rotated: 'The signing key was rotated',
    root_key_old: 'The root key is older than a year',
    webhook_disabled: 'A webhook was disabled, because its receiver has failed for days',
  },
  de: {
    grace_period_began: 'Zugangsdaten wurden erneuert, und ihre Übergangsfrist hat begonnen',
    grace_period_reminder:
      'Eine Übergangsfrist ist halb vorbei oder endet bald, mit den Quellen, die noch nicht umgestellt sind',
    grace_period_ended: 'Eine Übergangsfrist ist beendet',
    grace_period_undone: 'Eine Erneuerung wurde zurückgenommen',
    retired_credential_used: 'Abgelaufene Zugangsdaten werden noch verwendet',
    credential_expiring: 'Ein Access Key oder ein Zertifikat läuft bald ab',
    credential_expired: 'Ein Access Key oder ein Zertifikat ist abgelaufen',
    credential_unused: 'Eine Integration oder ein Access Key wurde 90 Tage nicht verwendet',
    new_network: 'Zugangsdaten wurden erstmals aus einem neuen Netz verwendet',
    leak_reported: 'Zugangsdaten sind in fremde Hände gelangt',
    permissions_changed: 'Die Berechtigungen eines Kontakts, eines Access Keys oder einer Organisation wurden geändert',
    operator_token_issued: 'Ein Operator-Token wurde ausgestellt',
    signing_key_rotated: 'Der Signaturschlüssel wurde erneuert',
    root_key_old: 'Der Hauptschlüssel ist älter als ein Jahr',
    webhook_disabled: 'Ein Webhook wurde abgeschaltet, weil sein Empfänger seit Tagen nicht antwortet',
  },
};
