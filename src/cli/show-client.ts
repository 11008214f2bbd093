import { subjectFields } from '../clients/certificate-subject.ts';
import type { Json } from './call-admin.ts';
import { type ShownDetails, showDetails } from './detail-options.ts';
import { sheet } from './terminal.ts';

/** Members of the admin API's client that are displayed. */
export type ShownClient = Json &
  ShownDetails & {
    client_id: string;
    name: string;
    kind: string;
    organization_id: string;
    status: string;
    scope: string;
    access_key: string;
    auth_method: string;
    resource: string | null;
    information: string[];
    token_format: string | null;
    token_typ: string | null;
    reveal: boolean;
    secrets: {
      hint: string;
      status: string;
      awaits_first_use: boolean;
      retires_at: string | null;
      last_used_at: string | null;
    }[];
    keys: {
      type: string;
      kid: string | null;
      thumbprint: string;
      status: string;
      published_at: string | null;
      left_at: string | null;
      first_used_at: string | null;
      last_used_at: string | null;
      used_after_leaving_at: string | null;
    }[];
    created_at: string;
    updated_at: string;
    last_used_at: string | null;
  };

/** Returns a client as text. */
export function showClient(client: ShownClient): string {
  const isServer = client.kind === 'resource_server';
  return sheet({
    client_id: client.client_id,
    name: client.name,
    kind: client.kind,
    organization: client.organization_id,
    status: client.status,
    ...(isServer
      ? {
          resource: client.resource ?? '',
          information: client.information.join(', '),
          tokens: client.token_typ ? `${client.token_format}, typ ${client.token_typ}` : (client.token_format ?? ''),
        }
      : { scope: client.scope, access_key: client.access_key, resource: client.resource ?? 'any' }),
    auth_method: client.auth_method,
    ...Object.fromEntries(subjectFields.flatMap((field) => (client[field] ? [[field, String(client[field])]] : []))),
    secrets:
      client.secrets
        .map(({ hint, status, retires_at, awaits_first_use: awaits }) => {
          return `${awaits ? 'hashed, awaits first use,' : hint} ${status}${retires_at ? ` until ${retires_at}` : ''}`;
        })
        .join(', ') || 'none',
    ...(client.keys.length > 0 ? { keys: client.keys.map(describeKey).join('; ') } : {}),
    ...showDetails(client),
    'can be revealed': client.reveal ? 'yes' : 'no',
    created: client.created_at,
    updated: client.updated_at,
    'last used': client.last_used_at ?? 'never',
  });
}

/** Describes when a key or certificate was published and used, and a program that still signs with one that is not. */
function describeKey(key: ShownClient['keys'][number]): string {
  const { type, kid, thumbprint, status, published_at: published, left_at: left } = key;
  return [
    `${type} ${kid ?? thumbprint} ${status}`,
    ...(published === null ? [] : [`published ${published}${left === null ? '' : ` until ${left}`}`]),
    ...(key.last_used_at === null ? ['never used'] : [`used ${key.first_used_at} to ${key.last_used_at}`]),
    ...(key.used_after_leaving_at === null
      ? []
      : [`a program still signs with it, last rejected ${key.used_after_leaving_at}`]),
  ].join(', ');
}
