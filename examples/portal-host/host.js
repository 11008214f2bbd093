// A product whose customers manage their integrations themselves, under Settings → Integrations.
//
// It has two customers, and signs people in by a click, in place of a real sign-in. "Integrations" asks Keyturn for a link
// to the portal for the signed-in person, and sends the browser there. README.md says how to run it.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

const {
  KEYTURN_ADMIN_URL = 'http://localhost:4001',
  KEYTURN_OPERATOR_TOKEN = '',
  HOST_URL = 'http://localhost:5000',
  PORT = '5000',
} = process.env;

/** The people of this product. What a person may do here decides what they may do in the portal. */
const people = {
  ann: { name: 'Ann Lee', email: 'ann@acme.example', company: 'acme', isAdministrator: true },
  ben: { name: 'Ben Fox', email: 'ben@acme.example', company: 'acme', isAdministrator: false },
  cleo: { name: 'Cleo Ray', email: 'cleo@borealis.example', company: 'borealis', isAdministrator: true },
};
const companies = { acme: 'Acme Ltd', borealis: 'Borealis AB' };
const administrator = ['integrations:view', 'integrations:edit', 'api_key:manage', 'contacts:manage', 'audit:view'];

/** Sends a request to Keyturn's admin API. */
async function keyturn(method, path, body) {
  const response = await fetch(`${KEYTURN_ADMIN_URL}/admin/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${KEYTURN_OPERATOR_TOKEN}`, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return await response.json();
}

/** Returns the id of the organization of a company, which is created for its first visitor. */
async function organizationOf(company) {
  const { data } = await keyturn('GET', `/organizations?q=${encodeURIComponent(company)}`);
  const found = data.find(({ external_id: id }) => id === company);
  if (found) return found.id;
  const portal = { name: 'Parcel Cloud', accent_color: '#0b7a5c', return_url: `${HOST_URL}/settings` };
  return (await keyturn('POST', '/organizations', { name: companies[company], external_id: company, portal })).id;
}

/** Returns a link that signs a person in to the portal once. */
async function portalLink({ name, email, company, isAdministrator }) {
  const organization_id = await organizationOf(company);
  const permissions = isAdministrator ? administrator : [];
  return (await keyturn('POST', '/portal-sessions', { organization_id, email, name, permissions })).url;
}

const sessions = new Map();

function personOf({ headers }) {
  return people[sessions.get(/(?:^|; )host=([\w-]+)/.exec(headers.cookie ?? '')?.[1])];
}

function page(title, body) {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title} · Parcel Cloud</title><style>body { font: 1rem system-ui; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }</style>
<h1>${title}</h1>${body}</html>`;
}

async function answer(request) {
  const { pathname } = new URL(request.url, HOST_URL);
  const form = (path, label) => `<form method="post" action="${path}"><button>${label}</button></form>`;
  if (request.method === 'POST' && pathname.startsWith('/sign-in/')) {
    const id = randomUUID();
    sessions.set(id, pathname.slice('/sign-in/'.length));
    return { status: 303, location: '/settings', cookie: `host=${id}; Path=/; HttpOnly; SameSite=Lax` };
  }
  const person = personOf(request);
  if (!person) {
    const forms = Object.entries(people).map(([id, { name }]) => form(`/sign-in/${id}`, `Sign in as ${name}`));
    return { status: 200, body: page('Parcel Cloud', forms.join('')) };
  }
  if (pathname === '/settings') {
    const links = '<ul><li><a href="/settings/integrations">Integrations</a></li></ul>';
    return { status: 200, body: page('Settings', `<p>${person.name}, ${companies[person.company]}</p>${links}`) };
  }
  if (pathname === '/settings/integrations') return { status: 303, location: await portalLink(person) };
  return { status: 404, body: page('Not found', '<p><a href="/settings">Settings</a></p>') };
}

createServer(async (request, response) => {
  const {
    status,
    body = '',
    location,
    cookie,
  } = await answer(request).catch((error) => {
    console.error(error.message);
    return { status: 502, body: page('Not available', '<p>Integrations are not available now.</p>') };
  });
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    ...(location ? { location } : {}),
    ...(cookie ? { 'set-cookie': cookie } : {}),
  });
  response.end(body);
}).listen(Number(PORT), () => console.log(`Parcel Cloud: ${HOST_URL}`));
