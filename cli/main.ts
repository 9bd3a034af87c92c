#!/usr/bin/env node
// `throughline …`: see docs/cli.md, or `throughline --help`.
import { EXIT, exitCodeOf, explain } from './failure.ts';
import { createProgram } from './program.ts';

// Whoever read our output (`| head`) may have gone: what is under way goes on to its end all the same.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return;
  console.error(explain(error));
  process.exitCode = EXIT.failure;
});

try {
  await createProgram().parseAsync();
} catch (error) {
  const text = explain(error);
  if (text !== '') console.error(text);
  process.exitCode = exitCodeOf(error);
}

// Not left to end by itself: an exporter that goes on trying would keep the process for longer than anybody waits.
process.stdout.write('', () => setImmediate(() => process.exit())); // after the error of a write that failed
