import { randomBytes } from 'node:crypto';
import type { Browser, Page } from 'playwright-core';
import { runCommand } from '../cli/run-command.ts';
import { describeWith } from '../programs.ts';
import { type ConsoleServer, launchBrowser, startConsole } from './console-server.ts';

describeWith('Chromium')('the details of clients and access keys, in the console without scripts', () => {
  let server: ConsoleServer;
  let browser: Browser;
  let page: Page;
  let contact: string;

  const make = async (path: string, body: object) => (await server.adminFetch(path, { method: 'POST', body })).json;
  const read = async (path: string) => (await server.adminFetch(path)).json;
  const fill = async (values: Record<string, string>) => {
    for (const [label, value] of Object.entries(values)) await page.getByLabel(label, { exact: true }).fill(value);
  };
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
  const open = (summary: string) => page.getByText(summary).click();
  const main = () => page.getByRole('main').textContent();

  beforeAll(async () => {
    server = await startConsole();
    await make('/clients', {
      name: 'API',
      kind: 'resource_server',
      resource: 'https://a.example',
      information: ['orders'],
    });
    contact = (await make('/contacts', { name: 'Ann', email: 'ann@example.com', external_id: 'crm 7' })).id;
    await make('/contacts', { name: 'Twin', email: 'one@example.com' });
    await make('/contacts', { name: 'Twin', email: 'two@example.com' });
    browser = await launchBrowser();
    page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
    page.setDefaultTimeout(60_000);
    await page.goto(`${server.adminUrl}/console/`);
    await page.getByLabel('Operator token').fill(await server.operatorToken());
    await press('Sign in');
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  const section = 'Owner, notes, token lifetime, claims and networks';

  it('edits every detail of an integration, and links its owner to it and back', async () => {
    const { client_id: id } = await make('/clients', { name: 'Sync', kind: 'integration', scope: 'orders:read' });
    await page.goto(`${server.adminUrl}/console/clients/${id}/edit`);
    await open(section);
    await fill({
      Owner: 'Ann <ann@example.com>',
      Description: 'Sends orders.\nAsk first.',
      Labels: 'team=logistics\nstage=a=b',
      Claims: 'tenant=acme\nlevel=3\nzip="01234"\nregions=["eu","us"]',
      'Technical contacts': 'it@partner.example\n+49 30 1234',
      'Token lifetime in seconds': '900',
      'Default permissions': 'orders:read',
      Dialects: 'audience, json_body',
      Metadata: '{"crm": {"id": 4711}}',
    });
    await page.getByLabel('gets the default permissions').check();
    await page.getByLabel('the program may rotate its own credential').check();
    await press('Save');
    const details = {
      self_rotation: true,
      owner_contact_id: contact,
      description: 'Sends orders.\nAsk first.',
      labels: { team: 'logistics', stage: 'a=b' },
      claims: { tenant: 'acme', level: 3, zip: '01234', regions: ['eu', 'us'] },
      contacts: ['it@partner.example', '+49 30 1234'],
      access_token_ttl: 900,
      default_scope: 'orders:read',
      dialects: ['audience', 'json_body'],
      metadata: { crm: { id: 4711 } },
    };
    expect(await read(`/clients/${id}`)).toMatchObject(details);
    for (const text of [
      'Ask first.',
      'team=logistics',
      'zip=01234',
      '900 seconds',
      '+49 30 1234',
      '4711',
      'audience, json_body',
    ]) {
      expect(await main()).toContain(text);
    }

    // A form that is saved without a change changes nothing.
    await page.getByRole('link', { name: 'Edit', exact: true }).click();
    await press('Save');
    expect(await read(`/clients/${id}`)).toMatchObject(details);

    await page.getByRole('link', { name: 'Ann' }).click();
    expect(await main()).toContain('Integrations and resource servers that this contact owns');
    await page.getByRole('link', { name: 'Sync' }).click();
    await page.getByRole('link', { name: 'team=logistics' }).click();
    expect(page.url()).toContain('/console/integrations?label=team%3Dlogistics');
    expect(await main()).toContain('Sync');
    await fill({ 'Label (tier=gold)': 'team=other' });
    await press('Search');
    expect(await main()).toContain('No integrations match');
  });

  it('shows, changes and lists a client whose Client ID has characters of URLs', async () => {
    const id = 'https://app.example.com/a%2Fb+c=d';
    const row = { client_id: id, client_secret: randomBytes(24).toString('base64url'), client_name: 'Special' };
    const { databaseUrl: DATABASE_URL, rootKey: KEYTURN_ROOT_KEY } = server.stores;
    const imported = await runCommand(
      ['clients', 'import', '-'],
      { DATABASE_URL, KEYTURN_ROOT_KEY },
      JSON.stringify([row]),
    );
    expect(imported).toMatchObject({ code: 0 });
    await page.goto(`${server.adminUrl}/console/integrations`);
    await page.getByRole('link', { name: 'Special' }).click();
    expect(await main()).toContain(id);
    await page.getByRole('link', { name: 'Edit', exact: true }).click();
    await open(section);
    await fill({ Labels: 'made=special' });
    await press('Save');
    expect((await read(`/clients/${encodeURIComponent(id)}`)).labels).toEqual({ made: 'special' });
    await page.getByRole('link', { name: 'Regenerate' }).click();
    expect(await main()).toContain('Impact');
    await page.getByRole('link', { name: 'Special' }).first().click();
    expect(await main()).toContain(id);
  });

  it('generates an integration with details, after a review that shows and keeps them', async () => {
    await page.goto(`${server.adminUrl}/console/integrations/new`);
    await fill({ Name: 'Fresh' });
    await open(section);
    await fill({ Owner: 'crm 7', Claims: 'tenant=new', Labels: 'made=console' });
    await press('Review');
    for (const text of ['crm 7', 'tenant=new', 'made=console']) expect(await main()).toContain(text);
    await press('Generate Client ID and Secret');
    const { data } = await read('/clients?label=made%3Dconsole');
    expect(data).toMatchObject([{ name: 'Fresh', owner_contact_id: contact, claims: { tenant: 'new' } }]);
  });

  it('edits the notes and claims of an access key and of a resource server', async () => {
    const key = await make(`/contacts/${contact}/access-keys`, { name: 'Warehouse', permissions: {} });
    await page.goto(`${server.adminUrl}/console/access-keys/${key.id}`);
    await open('Description, labels and claims');
    await fill({ Description: 'For HAM', Labels: 'site=HAM', Claims: 'site=HAM' });
    await press('Save Key');
    const notes = { description: 'For HAM', labels: { site: 'HAM' }, claims: { site: 'HAM' } };
    expect(await read(`/access-keys/${key.id}`)).toMatchObject(notes);
    await page.getByRole('link', { name: 'site=HAM' }).click();
    expect(await main()).toContain('Warehouse');
    const { data } = await read('/clients?kind=resource_server');
    await page.goto(`${server.adminUrl}/console/clients/${data[0].client_id}/edit`);
    await open(section);
    await fill({ 'Token lifetime in seconds': '600', Claims: 'api=shop' });
    await press('Save');
    expect(await read(`/clients/${data[0].client_id}`)).toMatchObject({
      access_token_ttl: 600,
      claims: { api: 'shop' },
    });
  });

  it.each([
    ['Owner', 'Nobody', 'No contact has this name'],
    ['Owner', 'Twin', 'Several contacts match'],
    ['Labels', 'team', 'Each line must be a name and a value'],
    ['Claims', 'sub=me', 'Sub is a registered claim'],
    ['Token lifetime in seconds', '30', 'Must be at least 60'],
    ['Dialects', 'json', 'Dialects'],
    ['Metadata', '[1]', 'Metadata'],
    ['Metadata', '{', 'must be a JSON object'],
    ['Default permissions', 'orders:delete', 'orders:delete is not in'],
  ])('shows why %s cannot be %j at the field, and keeps what was entered', async (label, value, says) => {
    const { client_id: id } = await make('/clients', { name: 'Wrong', kind: 'integration', scope: 'orders:read' });
    await page.goto(`${server.adminUrl}/console/clients/${id}/edit`);
    await open(section);
    await fill({ Name: 'Kept', [label]: value });
    if (label === 'Default permissions') await page.getByLabel('gets the default permissions').check();
    await press('Save');
    const field = page.getByLabel(label, { exact: true });
    expect(await field.inputValue()).toBe(value);
    expect(await field.getAttribute('aria-invalid')).toBe('true');
    expect((await main())?.toLowerCase()).toContain(says.toLowerCase());
    expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe('Kept');
    expect(await read(`/clients/${id}`)).toMatchObject({ name: 'Wrong', labels: {}, owner_contact_id: null });
  });
});
