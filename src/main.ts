#!/usr/bin/env node
// The first, so that it counts for all that follows.
import './young-generation.ts';
import { runCli } from './cli.ts';

process.exitCode = await runCli(process.argv.slice(2));
