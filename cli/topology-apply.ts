import type { Command } from 'commander';

/** `throughline topology apply` */
export function addTopologyApply(command: Command): void {
  command
    .command('apply')
    .description('create and update what differs; safe to run again')
    .option('--actor <name>', 'who does it (default: the user of the operating system)')
    .option('--yes', 'do not ask')
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(async (options) => (await import('./topology-run.ts')).apply(options)); // Google's client is slow to load
}

const HELP = `
Nothing at all is changed when a field differs that Pub/Sub does not let change; what to do then is said. With DATABASE_URL
set an audit row is written.

Example:
  $ throughline topology apply --yes`;
