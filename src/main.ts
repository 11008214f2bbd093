#!/usr/bin/env node
import { runCli } from './cli.ts';

process.exitCode = await runCli(process.argv.slice(2));
// The event loop should be empty now. If something is still open, a restart policy must not wait for it.
setTimeout(() => process.exit(), 3_000).unref();
