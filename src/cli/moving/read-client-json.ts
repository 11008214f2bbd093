import { CommandEnd } from '../terminal.ts';
import type { FileContent } from './clients-file.ts';

const lists = ['clients', 'items', 'data'] as const;
const ids = ['client_id', 'clientId', 'ClientId'];

/**
 * Reads clients from JSON: a list, a response of the API of Hydra or Auth0, one or several Keycloak realms, one client,
 * or one client per line. Messages name the position, and never contain a part of the file.
 * @throws {CommandEnd} 2 if the file is not JSON.
 */
export function readClientJson(text: string): FileContent {
  const content: FileContent = { clients: [], refused: [], warnings: [] };
  const { values, place } = parse(text);
  const found = values.flatMap((value) => clientsOf(value, content.warnings));
  content.clients = found.map((value, index) => ({ place: `${place} ${index + 1}`, value }));
  return content;
}

function parse(text: string): { values: unknown[]; place: string } {
  try {
    const json: unknown = JSON.parse(text);
    const isListOfLists = Array.isArray(json) && json.some((one) => isObject(one) && Array.isArray(one['clients']));
    return { values: isListOfLists ? json : [json], place: 'client' };
  } catch (error) {
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    if (lines.length > 1 && lines.every(isJsonObject)) {
      return { values: [lines.map((line) => JSON.parse(line) as unknown)], place: 'line' };
    }
    throw new CommandEnd(2, `error: The JSON cannot be read: ${placeOf(error as Error, text)}.`);
  }
}

/**
 * Returns the position of an error. The parser's own message is not shown, because it may contain a part of the file.
 */
function placeOf({ message }: Error, text: string): string {
  const position = /at position (\d+)/.exec(message)?.[1];
  if (position === undefined) return 'the file ends too early or is not JSON';
  const before = text.slice(0, Number(position)).split('\n');
  return `error at line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
}

function clientsOf(json: unknown, warnings: string[]): unknown[] {
  if (Array.isArray(json)) return json;
  if (!isObject(json)) return [];
  const list = lists.map((name) => json[name]).find(Array.isArray);
  if (!list) return ids.some((name) => name in json) ? [json] : [];
  const page = pageProblem(json, list.length);
  if (page) warnings.push(`The file ${page}. Export the other pages too. Each can be imported separately.`);
  return list;
}

/**
 * Detects a response that is not the last page: Auth0 sends `total`, Hydra `is_last_page`, others a token for the next
 * page.
 */
function pageProblem(json: Record<string, unknown>, count: number): string | undefined {
  const { total, is_last_page: isLast } = json;
  if (typeof total === 'number' && total > count) return `has ${count} of ${total} clients`;
  const next = [json['next_page_token'], json['next_cursor'], json['next'], json['nextPageToken']];
  const hasNext = isLast !== true && next.some((token) => token !== undefined && token !== null && token !== '');
  return isLast === false || hasNext ? `is one page of several, with ${count} of the clients` : undefined;
}

function isJsonObject(line: string): boolean {
  try {
    return isObject(JSON.parse(line));
  } catch {
    return false;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
