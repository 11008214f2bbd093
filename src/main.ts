#!/usr/bin/env node
// The first, so that it counts for all that follows.
import './process/young-generation.ts';
import { runCli } from './cli.ts';

process.exitCode = await runCli(process.argv.slice(2));
// The event loop is empty now. If something is still open after all, a restart policy must not wait for it.
setTimeout(() => process.exit(), 3_000).unref();
