import type { z } from 'zod';
import type { accessKeySchema } from '../presenters/present-access-key.ts';
import type { clientSchema } from '../presenters/present-client.ts';
import type { contactSchema } from '../presenters/present-contact.ts';
import type { regenerationSchema, reviewSchema } from '../presenters/present-regeneration.ts';
import type { eventSchema } from '../routes/audit-routes.ts';
import type { issuedSchema, knownSchema } from '../routes/authorization-token-routes.ts';
import type { explanationSchema } from '../routes/explain-routes.ts';
import type { keysSchema } from '../routes/signing-key-routes.ts';
import type { accessKeyUsageSchema, clientUsageSchema } from '../routes/usage-routes.ts';

/** Response bodies of the admin API, as console pages receive them. */
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
export type ShownExplanation = z.input<typeof explanationSchema>;
export type Listed<Item> = { data: Item[]; next_cursor: string | null };
