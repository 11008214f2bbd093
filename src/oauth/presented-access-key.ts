import type { Context } from 'koa';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { presentedValueOf, recordFirstUse, requireAccessKey } from '../access-keys/require-access-key.ts';
import type { Client } from '../clients/client.ts';
import type { Core } from '../core.ts';
import { formOf } from './receive-form.ts';

/**
 * Returns the access key of a request, checked for this client and recorded as used, or undefined if none was sent.
 * @param address the IP address that uses the key, or undefined if it is not known.
 * @throws {RefusedAccessKey}
 */
export async function readAccessKey(
  core: Core,
  ctx: Context,
  client: Client,
  address: string | undefined,
): Promise<PresentedAccessKey | undefined> {
  const value = formOf(ctx).values.get('access_key');
  if (value === undefined) return undefined;
  const presented = await requireAccessKey(core, value, { client: client.id, address });
  await recordFirstUse(core, presented);
  const used = presentedValueOf(presented);
  // The address is that of the caller or, for an introspection, of the request that the resource server serves.
  core.usage.watch(used, address);
  const { owner, generation, epoch } = used;
  ctx.state['presentedAccessKey'] = { owner, generation, epoch };
  return presented;
}
