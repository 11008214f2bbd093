import type { z } from 'zod';
import type { accessKeySchema } from '../present-access-key.ts';
import type { clientSchema } from '../present-client.ts';
import type { contactSchema } from '../present-contact.ts';
import type { regenerationSchema, reviewSchema } from '../present-regeneration.ts';

/** What the endpoints answer, as the pages read it. */
export type ShownClient = z.input<typeof clientSchema>;
export type ShownContact = z.input<typeof contactSchema>;
export type ShownAccessKey = z.input<typeof accessKeySchema>;
export type ShownRegeneration = z.input<typeof regenerationSchema>;
export type ShownReview = z.input<typeof reviewSchema>;
export type Listed<Item> = { data: Item[]; next_cursor: string | null };
