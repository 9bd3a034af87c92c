import type { Command } from 'commander';

/** `throughline topology diff` */
export function addTopologyDiff(command: Command): void {
  command
    .command('diff')
    .description('what of the declared topics and subscriptions is missing in Pub/Sub, or differs')
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(async (options) => (await import('./topology-run.ts')).diff(options)); // Google's client is slow to load
}

const HELP = `
Exits with 1 when anything differs. What is not declared is left alone, and not shown.

Example:
  $ throughline topology diff || throughline topology apply`;
