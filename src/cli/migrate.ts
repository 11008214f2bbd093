import type { Command } from 'commander';
import { commandLog, readCommandConfig, sayWarnings } from './stores.ts';
import { type OutputOptions, present } from './terminal.ts';

export function addMigrateCommand(program: Command): void {
  program
    .command('migrate')
    .description('migrate the database to the schema of this version; safe at any time, also several times at once')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  DATABASE_URL=postgres://keyturn@db/keyturn keyturn migrate`,
    )
    .action(async (options: OutputOptions) => {
      const config = readCommandConfig();
      sayWarnings(config);
      const { connectDatabase } = await import('../storage/open-database.ts');
      const { migrate } = await import('../storage/migrations.ts');
      const database = await connectDatabase(config, commandLog(config));
      try {
        const applied = await migrate(database);
        present(options, { applied }, () =>
          applied.length > 0 ? applied.map((name) => `applied ${name}`).join('\n') : 'The database is up to date.',
        );
      } finally {
        await database.close();
      }
    });
}
