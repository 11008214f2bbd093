import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import type { Json } from './call-admin.ts';

/** Options of the portal of an organization. False removes what was set. */
export type PortalOptions = {
  portalName?: string | false;
  portalLogo?: string | false;
  portalColor?: string | false;
  portalSupportUrl?: string | false;
  portalReturnUrl?: string | false;
  portalReturnOrigin?: string[] | false;
  portalFrameOrigin?: string[] | false;
};

export function withPortalOptions(command: Command): Command {
  return command
    .option('--portal-name <text>', 'the name of your product, which the portal shows')
    .option('--portal-logo <file>', 'a PNG, JPEG or WebP picture of at most 16 KiB', readLogo)
    .option('--portal-color <#rrggbb>', 'the colour of buttons and links in the portal')
    .option('--portal-support-url <url>', 'where people who use the portal get help')
    .option('--portal-return-url <url>', 'the page of your product that people return to')
    .option(
      '--portal-return-origin <origin>',
      'a further origin that a link to the portal may lead back to; repeatable, and those that are given replace all earlier ones',
      collectOrigins,
    )
    .option(
      '--portal-frame-origin <origin>',
      'an origin whose pages may show the portal in a frame; repeatable, and those that are given replace all earlier ones',
      collectOrigins,
    );
}

export function withoutPortalOptions(command: Command): Command {
  return command
    .option('--no-portal-name', 'show the name that the deployment has')
    .option('--no-portal-logo', 'show the logo that the deployment has')
    .option('--no-portal-color', 'use the colour that the deployment has')
    .option('--no-portal-support-url', 'use the link to help that the deployment has')
    .option('--no-portal-return-url', 'use the return URL that the deployment has')
    .option('--no-portal-return-origin', 'remove every further origin')
    .option('--no-portal-frame-origin', 'remove every origin of frames');
}

/** Returns the member `portal` of a request, or undefined if no option is given. */
export function toPortal(options: PortalOptions): Json | undefined {
  const orNull = <Value>(value: Value | false | undefined) => (value === false ? null : value);
  const portal = {
    name: orNull(options.portalName),
    logo: orNull(options.portalLogo),
    accent_color: orNull(options.portalColor),
    support_url: orNull(options.portalSupportUrl),
    return_url: orNull(options.portalReturnUrl),
    return_origins: options.portalReturnOrigin === false ? [] : options.portalReturnOrigin,
    frame_origins: options.portalFrameOrigin === false ? [] : options.portalFrameOrigin,
  };
  const given = Object.entries(portal).filter(([, member]) => member !== undefined);
  return given.length > 0 ? Object.fromEntries(given) : undefined;
}

function collectOrigins(text: string, earlier: string[] | false | undefined): string[] {
  return [...(earlier || []), text];
}

/** Reads a picture as a `data:` URL. The admin API checks what it contains. */
function readLogo(path: string): string {
  const [, ending = ''] = /\.(\w+)$/.exec(path.toLowerCase()) ?? [];
  const kind = ending === 'jpg' ? 'jpeg' : ending;
  try {
    return `data:image/${kind};base64,${readFileSync(path).toString('base64')}`;
  } catch (error) {
    throw new InvalidArgumentError(`The file cannot be read: ${(error as NodeJS.ErrnoException).code}.`);
  }
}
