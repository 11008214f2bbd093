import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { type Document, isMap, isNode, isSeq, LineCounter, parseAllDocuments, stringify } from 'yaml';
import type { Json } from './call-admin.ts';
import { CommandEnd } from './terminal.ts';

/** Reads and writes a configuration as files in YAML or JSON. */

/** A document of a file. @property place returns where a member is, such as `acme/trusts.yaml:12`. */
export type FileDocument = { value: Json; place(path: readonly string[]): string };

/** The file with the JSON Schema that an export writes, for editors. */
const schemaFile = 'keyturn.schema.json';

const maxAliases = 100;

/**
 * Reads the documents of files, and of all `.yaml`, `.yml` and `.json` files below folders, in the order of their names.
 * @throws {CommandEnd} 1 that names the file and line of each error.
 */
export function readFiles(paths: readonly string[]): FileDocument[] {
  const files = paths.flatMap((path) => listFiles(path).map((file) => ({ file, shown: shownName(path, file) })));
  if (files.length === 0) throw new CommandEnd(1, `error: ${paths.join(', ')}: there is no .yaml, .yml or .json file.`);
  const problems: string[] = [];
  const documents = files.flatMap(({ file, shown }) => readFile(file, shown, problems));
  if (problems.length > 0) throw new CommandEnd(1, problems.map((problem) => `error: ${problem}`).join('\n'));
  return documents;
}

function listFiles(path: string): string[] {
  const state = statSync(path, { throwIfNoEntry: false });
  if (!state) throw new CommandEnd(1, `error: ${path} does not exist.`);
  if (!state.isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ya?ml|json)$/.test(name) && !name.endsWith('.schema.json'))
    .filter((name) => !name.split(sep).some((part) => part.startsWith('.') || part === 'node_modules'))
    .sort()
    .map((name) => join(path, name));
}

function shownName(path: string, file: string): string {
  return path === file ? file : join(path, relative(path, file));
}

function readFile(file: string, shown: string, problems: string[]): FileDocument[] {
  const lines = new LineCounter();
  const text = readFileSync(file, 'utf8');
  const parsed = parseAllDocuments(text, { lineCounter: lines });
  return (Array.isArray(parsed) ? parsed : []).flatMap((document) => {
    for (const { message, pos } of document.errors) {
      // The parser quotes the text, which may be long or a secret.
      problems.push(`${shown}:${lines.linePos(pos[0]).line}: ${message.split(/ at line |: "/)[0]}`);
    }
    if (document.errors.length > 0 || document.contents === null) return [];
    const places = isSeq(document.contents) ? document.contents.items.map((_, index) => [index]) : [[]];
    return places.flatMap((start) => readDocument(document, start, { shown, lines }, problems));
  });
}

function readDocument(
  document: Document.Parsed,
  start: readonly number[],
  { shown, lines }: { shown: string; lines: LineCounter },
  problems: string[],
): FileDocument[] {
  const place = (path: readonly string[]) => `${shown}:${lineOf(document, [...start, ...path], lines)}`;
  const node = start.length === 0 ? document.contents : document.getIn(start, true);
  if (!isMap(node)) {
    problems.push(`${place([])}: a document must be an object with \`kind\`.`);
    return [];
  }
  try {
    return [{ value: node.toJS(document, { maxAliasCount: maxAliases }) as Json, place }];
  } catch (error) {
    problems.push(`${place([])}: ${(error as Error).message}.`);
    return [];
  }
}

/** Returns the line of a member, or of what contains it. */
function lineOf(document: Document.Parsed, path: readonly (string | number)[], lines: LineCounter): number {
  for (let length = path.length; length > 0; length--) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1).map(toKey), true);
    const name = toKey(path[length - 1] as string | number);
    const found = isMap(parent)
      ? parent.items.find(({ key }) => String(isNode(key) ? key.toJSON() : key) === String(name))?.key
      : isSeq(parent)
        ? parent.items[Number(name)]
        : undefined;
    if (isNode(found) && found.range) return lines.linePos(found.range[0]).line;
  }
  return lines.linePos(document.contents?.range?.[0] ?? 0).line;
}

function toKey(part: string | number): string | number {
  return typeof part === 'string' && /^\d+$/.test(part) ? Number(part) : part;
}

/**
 * Writes documents: one file for each kind, in a folder for each organization.
 * @throws {CommandEnd} 1 if the folder contains something, because its files would be applied together with these.
 */
export function writeFiles(folder: string, documents: readonly Json[], schema: object): string[] {
  if (existsSync(folder) && (!statSync(folder).isDirectory() || readdirSync(folder).length > 0)) {
    throw new CommandEnd(1, `error: ${folder} exists and is not empty. Name another folder.`);
  }
  const texts = new Map<string, string[]>();
  const folderOf = nameFolders(documents);
  for (const document of documents) {
    const name = join(folderOf(document['organization']), `${plural(String(document['kind']))}.yaml`);
    texts.set(name, [...(texts.get(name) ?? []), stringify(document, { lineWidth: 100 })]);
  }
  for (const [name, parts] of texts) {
    const up = name.includes(sep) ? '../' : './';
    write(join(folder, name), `# yaml-language-server: $schema=${up}${schemaFile}\n${parts.join('---\n')}`);
  }
  write(join(folder, schemaFile), `${JSON.stringify(schema, undefined, 2)}\n`);
  return [...texts.keys()].sort();
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

function plural(kind: string): string {
  const name = kind.replaceAll('_', '-');
  return name.endsWith('s') ? name : `${name}s`;
}

/** Returns the name of the folder of each organization: letters and digits of its name, and a number if that is taken. */
function nameFolders(documents: readonly Json[]): (organization: unknown) => string {
  const folders = new Map<unknown, string>([[undefined, '']]);
  for (const { organization } of documents) {
    if (folders.has(organization)) continue;
    const words = String(organization)
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? ['organization'];
    const base = words.join('-').slice(0, 60);
    const taken = new Set(folders.values());
    let name = base;
    for (let number = 2; taken.has(name); number++) name = `${base}-${number}`;
    folders.set(organization, name);
  }
  return (organization) => folders.get(organization) ?? '';
}
