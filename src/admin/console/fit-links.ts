import { type ComponentChildren, h, isValidElement, type VNode } from 'preact';
import { addressOn, type Site } from './site.ts';

type Props = { [name: string]: unknown; children?: ComponentChildren };

/**
 * Turns the canonical paths in content into the addresses of a site. A link to a page that the site does not have becomes
 * plain text; a button, a form or a link that looks like a button is left out.
 */
export function fitLinks(content: ComponentChildren, site: Site): ComponentChildren {
  if (Array.isArray(content)) return content.map((each) => fitLinks(each, site));
  if (!isValidElement(content)) return content;
  const { type, props, key } = content as VNode<Props>;
  const target = targetOf(props);
  const isButton = props['class'] !== undefined && String(props['class']).split(' ').includes('button');
  const children = fitLinks(props.children, site);
  if (target === undefined) return h(type as string, { ...props, key }, children);
  const [attribute, path] = target;
  const isThere = isOnSite(site, String(props['method'] ?? (attribute === 'href' ? 'get' : 'post')), path);
  if (isThere) return h(type as string, { ...props, key, [attribute]: addressOn(site, path) }, children);
  return type === 'a' && !isButton ? h('span', { class: props['class'] as string, key }, children) : null;
}

/** Returns the attribute of an element that has a canonical path, with that path. */
function targetOf(props: Props): [attribute: string, path: string] | undefined {
  for (const attribute of ['href', 'action', 'formaction', 'src']) {
    const path = props[attribute];
    if (typeof path === 'string' && path.startsWith('/console/')) return [attribute, path];
  }
  return undefined;
}

/** Assets, the forms that begin and end a session or open a hand-over, and the choice of a language are on every site. */
const everywhere = /^\/console\/(assets\/|sign-|prove(\/with|\/passkey)?$|language$|handover\/)/;

function isOnSite(site: Site, method: string, path: string): boolean {
  const [plain = ''] = path.split(/[?#]/, 1);
  return everywhere.test(plain) || site.hasPage(method === 'get' ? 'get' : 'post', plain);
}
