import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import { callAdmin, type Json } from './call-admin.ts';
import { withAdmin } from './stores.ts';
import { CommandEnd, type OutputOptions, paint, plain, present } from './terminal.ts';

/** Members of the admin API's explanation that are displayed. */
type ShownExplanation = Json & {
  kind: string;
  verdict: 'accepted' | 'rejected' | 'unknown';
  findings: { verdict: 'accepted' | 'rejected' | 'unknown'; rule: string; text: string }[];
};

type ExplainOptions = OutputOptions & { resource?: string; client?: string };

const colours = { accepted: 'green', rejected: 'red', unknown: 'yellow' } as const;
const signs = { accepted: '+', rejected: '-', unknown: ' ' } as const;

export function addExplainCommand(program: Command): void {
  program
    .command('explain')
    .description('explain why a token, access key, client or request is accepted or was rejected; changes nothing')
    .argument(
      '[id]',
      'a Client ID, the ID of an access key, or a request ID; tokens, keys and secrets are read from standard input',
    )
    .option('--resource <uri>', 'token: the resource server that would ask; otherwise all that it is for')
    .option('--client <client_id>', 'access key: the client that would use it; otherwise any')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn explain < token.txt
  keyturn explain kti_4fW1mZ8qYc0RkT7pLs2VnB
  keyturn explain 6f1c1a52-8f0e-4a3e-9d38-2f0c2f6b7a11
  pbpaste | keyturn explain --resource https://api.example.com --json | jq .verdict

The exit code is 1 if the value is not accepted, or the request was rejected.`,
    )
    .action(async (id: string | undefined, { resource, client, json }: ExplainOptions) => {
      // Arguments are visible to other users of the machine, and are kept in the history of the shell.
      if (id !== undefined && (/^kt[skao]_/.test(id) || id.split('.').length === 3)) {
        throw new CommandEnd(2, 'error: Pass tokens, keys and secrets on standard input, not as an argument.');
      }
      const value = id ?? (await readInput());
      const body = { value, resource, client_id: client };
      const explained = await withAdmin((admin) => callAdmin<ShownExplanation>(admin, 'POST /explain', { body }), true);
      present(json ? { json } : {}, explained, () => describeExplanation(explained));
      if (explained.verdict === 'rejected') throw new CommandEnd(1);
    });
}

async function readInput(): Promise<string> {
  if (process.stdin.isTTY) process.stderr.write('Paste the value, then press Enter and Ctrl+D:\n');
  const value = (await text(process.stdin)).trim();
  if (value === '') throw new CommandEnd(2, 'error: Standard input is empty. Pass the value that is to be explained.');
  return value;
}

function describeExplanation({ kind, verdict, findings }: ShownExplanation): string {
  const lines = findings.map((found) => `${signs[found.verdict]} ${plain(found.text)}`);
  return [paint(colours[verdict], `${kind.replaceAll('_', ' ')}: ${verdict}`), ...lines].join('\n');
}
