import type { z } from 'zod';
import type { eventSchema } from '../audit-routes.ts';
import type { issuedSchema, knownSchema } from '../authorization-token-routes.ts';
import type { accessKeySchema } from '../present-access-key.ts';
import type { clientSchema } from '../present-client.ts';
import type { contactSchema } from '../present-contact.ts';
import type { regenerationSchema, reviewSchema } from '../present-regeneration.ts';
import type { keysSchema } from '../signing-key-routes.ts';
import type { accessKeyUsageSchema, clientUsageSchema } from '../usage-routes.ts';

/** What the endpoints answer, as the pages read it. */
export type ShownClient = z.input<typeof clientSchema>;
export type ShownContact = z.input<typeof contactSchema>;
export type ShownAccessKey = z.input<typeof accessKeySchema>;
export type ShownRegeneration = z.input<typeof regenerationSchema>;
export type ShownReview = z.input<typeof reviewSchema>;
export type ShownUsage = z.input<typeof clientUsageSchema> | z.input<typeof accessKeyUsageSchema>;
export type ShownAuthorizationToken = z.input<typeof knownSchema>;
export type IssuedAuthorizationToken = z.input<typeof issuedSchema>;
export type ShownSigningKeys = z.input<typeof keysSchema>;
export type ShownEvent = z.input<typeof eventSchema>;
export type Listed<Item> = { data: Item[]; next_cursor: string | null };
