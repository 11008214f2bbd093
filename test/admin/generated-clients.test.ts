/** Generates clients from the OpenAPI document in four languages, compiles them, and calls a real server with each. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { hasPrograms } from '../programs.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

const run = promisify(execFile);

const versions = {
  go: '2.8.2',
  goRuntime: '1.9.0',
  java: '7.16.0',
  python: '0.29.1',
  typescript: '5.9.3',
  'openapi-typescript': '7.13.0',
  'openapi-fetch': '0.17.0',
};
/** The generators are kept between runs, because their installation takes longer than the test. */
const home = join(tmpdir(), `keyturn-generated-clients-${Object.values(versions).join('-')}`);

/**
 * Prepares a generator, unless an earlier run has done so.
 * @returns a reason why it cannot be used, or undefined.
 */
async function prepare(name: string, install: (folder: string) => Promise<unknown>): Promise<string | undefined> {
  const folder = join(home, name);
  const done = join(folder, 'installed');
  if (existsSync(done)) return undefined;
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await install(folder);
    await writeFile(done, '');
    return undefined;
  } catch (error) {
    return `it cannot be installed: ${(error as Error).message.split('\n')[0]}`;
  }
}

const installed = { timeout: 180_000 };

const missing = Object.fromEntries(
  await Promise.all([
    prepare('typescript', (cwd) => {
      const packages = (['typescript', 'openapi-typescript', 'openapi-fetch'] as const).map(
        (name) => `${name}@${versions[name]}`,
      );
      return run('npm', ['install', '--prefix', cwd, '--no-audit', '--no-fund', '--ignore-scripts', ...packages], {
        ...installed,
        cwd,
      });
    }).then((reason) => ['TypeScript', reason]),
    hasPrograms('Go')
      ? prepare('go', async (cwd) => {
          const generator = `github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v${versions.go}`;
          await run('go', ['install', generator], { ...installed, cwd, env: { ...process.env, GOBIN: cwd } });
        }).then((reason) => ['Go', reason])
      : ['Go', 'there is no go'],
    hasPrograms('Maven', 'Java compiler')
      ? prepare('java', async (cwd) => {
          const copy = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy';
          const artifact = `-Dartifact=org.openapitools:openapi-generator-cli:${versions.java}`;
          await run('mvn', ['-q', '-B', copy, artifact, `-DoutputDirectory=${cwd}`], installed);
        }).then((reason) => ['Java', reason])
      : ['Java', 'there is no javac and mvn'],
    hasPrograms('Python 3.10 with venv')
      ? prepare('python', async (cwd) => {
          await run('python3', ['-m', 'venv', cwd], installed);
          const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
          await run(join(cwd, 'bin/python'), [...pip, `openapi-python-client==${versions.python}`], installed);
        }).then((reason) => ['Python', reason])
      : ['Python', 'there is no python3 of version 3.10 or later with venv'],
  ]),
) as Record<'TypeScript' | 'Go' | 'Java' | 'Python', string | undefined>;

for (const [language, reason] of Object.entries(missing)) {
  if (reason) console.warn(`The test of generated ${language} clients is skipped: ${reason}`);
}

let server: AdminServer;
let token: string;
/** The document of the running server, as a file. */
let document: string;
const folders: string[] = [];

beforeAll(async () => {
  server = await startAdminServer();
  token = await server.operatorToken();
  document = join(await makeFolder('document'), 'openapi.json');
  await writeFile(document, (await server.adminFetch('/openapi.json', { token: null })).text);
});
afterAll(async () => {
  await server?.close();
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

/** Makes a folder for one run, below that of the generator, so that its packages are found. */
async function makeFolder(name: string): Promise<string> {
  await mkdir(join(home, name), { recursive: true });
  const folder = await mkdtemp(join(home, name, 'run-'));
  folders.push(folder);
  return folder;
}

/** Runs a program. @returns what it has printed. @throws {Error} with all of its output if it fails. */
async function output(program: string, args: readonly string[], cwd: string): Promise<string> {
  const env = { ...process.env, ADMIN_URL: server.adminUrl, TOKEN: token, NODE_OPTIONS: '', GOFLAGS: '-mod=mod' };
  const { stdout, stderr } = await run(program, args, { cwd, env, maxBuffer: 2 ** 26 }).catch((error) => {
    throw new Error(`${program} ${args.join(' ')}: ${error.message}\n${error.stdout}\n${error.stderr}`);
  });
  return stdout + stderr;
}

/** Checks that the program has created a contact, read it again, and was told what was wrong with another. */
async function expectContact(printed: string): Promise<void> {
  const [id, name, code] = printed.trim().split('\n').at(-1)?.split(' ') ?? [];
  expect([name, code]).toEqual(['Generated', 'invalid_request']);
  expect((await server.adminFetch(`/contacts/${id}`)).json).toMatchObject({ email: 'generated@example.com' });
}

const testIn = (language: keyof typeof missing) => (missing[language] ? test.skip : test);

testIn('TypeScript')(
  'a TypeScript client that openapi-typescript generates compiles and calls the server',
  async () => {
    const cwd = await makeFolder('typescript');
    const bin = join(home, 'typescript/node_modules');
    await output(process.execPath, [join(bin, 'openapi-typescript/bin/cli.js'), document, '-o', 'admin.d.ts'], cwd);
    await writeFile(join(cwd, 'package.json'), '{"type":"module"}');
    await writeFile(
      join(cwd, 'main.ts'),
      `
import createClient from 'openapi-fetch';
import type { components, paths } from './admin.d.ts';

declare const process: { env: Record<string, string> };
const headers = { Authorization: \`Bearer \${process.env['TOKEN']}\` };
const api = createClient<paths>({ baseUrl: process.env['ADMIN_URL'] ?? '', headers });
const { data: made } = await api.POST('/admin/v1/contacts', {
  body: { name: 'Generated', email: 'generated@example.com', permissions: ['audit:view'] },
});
const { data: read } = await api.GET('/admin/v1/contacts/{id}', { params: { path: { id: made?.id ?? '' } } });
const contact: components['schemas']['Contact'] | undefined = read;
const { error } = await api.POST('/admin/v1/contacts', { body: { name: '', email: 'a@example.com' } });
console.log(contact?.id, contact?.name, error?.code);
// @ts-expect-error: no contact has such a member.
contact?.nothing;
`,
    );
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022,dom'];
    const types = ['--allowImportingTsExtensions', 'main.ts'];
    await output(process.execPath, [join(bin, 'typescript/bin/tsc'), ...options, ...types], cwd);
    await expectContact(await output(process.execPath, ['main.ts'], cwd));
  },
);

testIn('Python')(
  'openapi-python-client generates every operation without a warning, and its client calls the server',
  async () => {
    const cwd = await makeFolder('python');
    const python = join(home, 'python/bin/python');
    await writeFile(join(cwd, 'config.yaml'), 'post_hooks: []\n');
    const options = [
      '--config',
      'config.yaml',
      '--meta',
      'none',
      '--output-path',
      'keyturn_admin',
      '--fail-on-warning',
    ];
    const generator = ['-m', 'openapi_python_client', 'generate', '--path', document, ...options];
    expect(await output(python, generator, cwd)).not.toMatch(/warning|error/i);
    await writeFile(
      join(cwd, 'main.py'),
      `
import importlib, os, pkgutil
import keyturn_admin.api, keyturn_admin.models
from keyturn_admin.client import AuthenticatedClient
from keyturn_admin.api.contacts import create_contact, get_contact
from keyturn_admin.models import CreateContactBody

modules = [module.name for module in pkgutil.walk_packages(keyturn_admin.api.__path__, 'keyturn_admin.api.')]
operations = [module for module in map(importlib.import_module, modules) if hasattr(module, 'sync_detailed')]
print(len(operations))
client = AuthenticatedClient(base_url=os.environ['ADMIN_URL'], token=os.environ['TOKEN'])
made = create_contact.sync(client=client, body=CreateContactBody(name='Generated', email='generated@example.com'))
read = get_contact.sync(id=made.id, client=client)
wrong = create_contact.sync(client=client, body=CreateContactBody(name='', email='a@example.com'))
print(read.id, read.name, wrong.code)
`,
    );
    const printed = await output(python, ['main.py'], cwd);
    const { paths } = (await server.adminFetch('/openapi.json')).json as { paths: Record<string, object> };
    expect(Number(printed.split('\n')[0])).toBe(Object.values(paths).flatMap(Object.keys).length);
    await expectContact(printed);
  },
);

testIn('Go')('a Go client that oapi-codegen generates compiles and calls the server', async () => {
  const cwd = await makeFolder('go');
  await mkdir(join(cwd, 'admin'));
  await writeFile(
    join(cwd, 'go.mod'),
    `module example.com/generated\n\ngo 1.24\n\nrequire github.com/oapi-codegen/runtime v${versions.goRuntime}\n`,
  );
  await writeFile(
    join(cwd, 'config.yaml'),
    'package: admin\ngenerate: { models: true, client: true }\noutput: admin/client.go\noutput-options: { skip-prune: true }\n',
  );
  await output(join(home, 'go/oapi-codegen'), ['-config', 'config.yaml', document], cwd);
  await writeFile(
    join(cwd, 'main.go'),
    `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"example.com/generated/admin"
)

func main() {
	ctx := context.Background()
	authorize := admin.WithRequestEditorFn(func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+os.Getenv("TOKEN"))
		return nil
	})
	client, err := admin.NewClientWithResponses(os.Getenv("ADMIN_URL"), authorize)
	check(err)
	made, err := client.CreateContactWithResponse(ctx, nil, admin.CreateContactJSONRequestBody{Name: "Generated", Email: "generated@example.com"})
	check(err)
	read, err := client.GetContactWithResponse(ctx, made.JSON201.Id)
	check(err)
	wrong, err := client.CreateContactWithResponse(ctx, nil, admin.CreateContactJSONRequestBody{Name: "", Email: "a@example.com"})
	check(err)
	fmt.Println(read.JSON200.Id, read.JSON200.Name, wrong.ApplicationproblemJSON400.Code)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
`,
  );
  await output('go', ['mod', 'tidy'], cwd);
  await expectContact(await output('go', ['run', '.'], cwd));
});

testIn('Java')(
  'a Java client that openapi-generator generates compiles and calls the server',
  async () => {
    const cwd = await makeFolder('java');
    const packages = 'invokerPackage=admin,apiPackage=admin.api,modelPackage=admin.model';
    const parts = 'apis,models,supportingFiles,apiTests=false,modelTests=false,apiDocs=false,modelDocs=false';
    const generator = ['-jar', join(home, `java/openapi-generator-cli-${versions.java}.jar`), 'generate', '-g', 'java'];
    const options = ['--additional-properties', `openApiNullable=false,${packages}`, '--global-property', parts];
    await output('java', [...generator, '-i', document, '-o', '.', ...options], cwd);
    await writeFile(
      join(cwd, 'src/main/java/Main.java'),
      `
import admin.ApiClient;
import admin.ApiException;
import admin.api.ContactsApi;
import admin.model.Contact;
import admin.model.CreateContactRequest;
import com.google.gson.JsonParser;

public class Main {
  public static void main(String[] args) throws Exception {
    ApiClient client = new ApiClient();
    client.setBasePath(System.getenv("ADMIN_URL"));
    client.setBearerToken(System.getenv("TOKEN"));
    ContactsApi contacts = new ContactsApi(client);
    CreateContactRequest request = new CreateContactRequest().name("Generated").email("generated@example.com");
    Contact read = contacts.getContact(contacts.createContact(request, null).getId());
    try {
      contacts.createContact(request.name(""), null);
    } catch (ApiException wrong) {
      String code = JsonParser.parseString(wrong.getResponseBody()).getAsJsonObject().get("code").getAsString();
      System.out.println(read.getId() + " " + read.getName() + " " + code);
    }
    // The connection pool would keep the process alive for a minute.
    System.exit(0);
  }
}
`,
    );
    const build = ['compile', 'dependency:build-classpath', '-Dmdep.outputFile=class-path'];
    await output('mvn', ['-q', '-B', '-Dmaven.test.skip=true', ...build], cwd);
    const classPath = `target/classes:${await readFile(join(cwd, 'class-path'), 'utf8')}`;
    await expectContact(await output('java', ['-cp', classPath, 'Main'], cwd));
  },
  600_000,
);
