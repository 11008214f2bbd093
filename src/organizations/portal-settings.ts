/** How the portal looks for an organization, and where it leads back. A member that is null is that of the deployment. */
export type PortalSettings = {
  /** The name of the product, in place of the name of the organization of the deployment. */
  name: string | null;
  /** A picture as a `data:` URL. */
  logo: string | null;
  /** `#rrggbb`. */
  accentColor: string | null;
  supportUrl: string | null;
  /** The page of the host product that people return to. */
  returnUrl: string | null;
  /** Further origins that a link to the portal may lead back to. */
  returnOrigins: readonly string[];
  /** Origins whose pages may show the portal in a frame. */
  frameOrigins: readonly string[];
};

export const noPortalSettings: PortalSettings = {
  name: null,
  logo: null,
  accentColor: null,
  supportUrl: null,
  returnUrl: null,
  returnOrigins: [],
  frameOrigins: [],
};

/** Returns the settings that apply to an organization. Its origins are allowed in addition to those of the deployment. */
export function effectiveSettings(own: PortalSettings, deployment: PortalSettings): PortalSettings {
  return {
    name: own.name ?? deployment.name,
    logo: own.logo ?? deployment.logo,
    accentColor: own.accentColor ?? deployment.accentColor,
    supportUrl: own.supportUrl ?? deployment.supportUrl,
    returnUrl: own.returnUrl ?? deployment.returnUrl,
    returnOrigins: [...new Set([...own.returnOrigins, ...deployment.returnOrigins])],
    frameOrigins: [...new Set([...own.frameOrigins, ...deployment.frameOrigins])],
  };
}

/** Returns whether a link to the portal may lead back to a URL: to the return URL's own origin, or to one that is listed. */
export function mayReturnTo({ returnUrl, returnOrigins }: PortalSettings, url: string): boolean {
  const { origin } = new URL(url);
  return returnOrigins.includes(origin) || (returnUrl !== null && new URL(returnUrl).origin === origin);
}

const loopbackHosts = ['localhost', '127.0.0.1', '[::1]'];

/** Returns why a browser must not be sent to a URL, as the end of a sentence; undefined if it may. */
export function webUrlProblem(value: string): string | undefined {
  const problem = 'must be an https URL, or an http URL of this machine, without a user name';
  if (!URL.canParse(value) || value.length > maxUrl) return problem;
  const { protocol, hostname, username, password } = new URL(value);
  const isSafe = protocol === 'https:' || (protocol === 'http:' && loopbackHosts.includes(hostname));
  // Hosts are part of a Content-Security-Policy, where other characters have a meaning.
  const isPlain = /^([a-z0-9._-]+|\[[0-9a-f:.]+\])$/.test(hostname);
  return isSafe && isPlain && username === '' && password === '' ? undefined : problem;
}

const maxUrl = 2_000;

/** Returns why a value is not an origin, as the end of a sentence; undefined if it is one. */
export function originProblem(value: string): string | undefined {
  return webUrlProblem(value) === undefined && new URL(value).origin === value
    ? undefined
    : 'must be an origin such as https://app.example.com, without a path and a slash at the end';
}

/** The largest picture, in bytes. It is part of every page. */
export const maxLogoBytes = 16 * 1024;

/** The first bytes of each kind of picture, in hexadecimal digits. A picture cannot contain scripts, as SVG can. */
const signatures: Readonly<Record<string, RegExp>> = {
  png: /^89504e470d0a1a0a/,
  jpeg: /^ffd8ff/,
  webp: /^52494646.{8}57454250/,
};

/** Returns why a value is not a logo, as the end of a sentence; undefined if it is one. */
export function logoProblem(value: string): string | undefined {
  const [, kind = '', encoded = ''] = /^data:image\/(png|jpeg|webp);base64,([A-Za-z0-9+/]+={0,2})$/.exec(value) ?? [];
  const bytes = Buffer.from(encoded, 'base64');
  if (!signatures[kind]?.test(bytes.toString('hex', 0, 12))) {
    return 'must be a data: URL in base64 of a PNG, JPEG or WebP picture';
  }
  return bytes.length > maxLogoBytes ? `must have at most ${maxLogoBytes / 1024} KiB` : undefined;
}
