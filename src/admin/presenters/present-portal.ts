import { z } from 'zod';
import {
  logoProblem,
  maxLogoBytes,
  originProblem,
  type PortalSettings,
  webUrlProblem,
} from '../../organizations/portal-settings.ts';
import { text } from '../text.ts';

const checked = (max: number, problemOf: (value: string) => string | undefined) =>
  z
    .string()
    .max(max)
    .superRefine((value, context) => {
      const message = problemOf(value);
      if (message !== undefined) context.addIssue({ code: 'custom', message });
    });
const origins = (description: string) =>
  z
    .array(checked(300, originProblem))
    .max(20)
    .meta({ description, example: ['https://app.example.com'] });

/** Schema of a URL that people are sent to. */
export const webUrl = checked(2_000, webUrlProblem);

const inherited = 'Null: that of the organization of the deployment.';
const members = {
  name: text(60)
    .nullable()
    .meta({ description: `The name of the product that people know. ${inherited}` }),
  logo: checked(Math.ceil((maxLogoBytes * 4) / 3) + 100, logoProblem)
    .nullable()
    .meta({
      description: `A PNG, JPEG or WebP picture of at most ${maxLogoBytes / 1024} KiB, as a \`data:\` URL in base64. ${inherited}`,
    }),
  accent_color: z
    .string()
    .regex(/^#[0-9a-fA-F]{6}$/, 'must be # and six hexadecimal digits')
    .nullable()
    .meta({
      description: `The colour of buttons and links. It is made darker or lighter where text would be hard to read. ${inherited}`,
      example: '#1f5bc4',
    }),
  support_url: webUrl.nullable().meta({ description: `Where people get help. ${inherited}` }),
  return_url: webUrl.nullable().meta({ description: `The page of your product that people return to. ${inherited}` }),
  return_origins: origins(
    'Further origins that `return_url` of a link may have. Those of the organization of the deployment are allowed too.',
  ),
  frame_origins: origins(
    'Origins whose pages may show the portal in a frame. Those of the organization of the deployment are allowed too.',
  ),
};

export const givenPortal = z
  .strictObject(members)
  .partial()
  .meta({ description: 'How the portal looks, and where it leads back. Only the members that are sent change.' });

export const shownPortal = z
  .strictObject(members)
  .meta({ description: 'How the portal looks, and where it leads back.' });

export function readPortal(given: z.output<typeof givenPortal> | undefined) {
  return (
    given && {
      name: given.name,
      logo: given.logo,
      accentColor: given.accent_color?.toLowerCase() ?? given.accent_color,
      supportUrl: given.support_url,
      returnUrl: given.return_url,
      returnOrigins: given.return_origins,
      frameOrigins: given.frame_origins,
    }
  );
}

export function presentPortal(settings: PortalSettings): z.input<typeof shownPortal> {
  return {
    name: settings.name,
    logo: settings.logo,
    accent_color: settings.accentColor,
    support_url: settings.supportUrl,
    return_url: settings.returnUrl,
    return_origins: [...settings.returnOrigins],
    frame_origins: [...settings.frameOrigins],
  };
}
