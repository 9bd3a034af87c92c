import type { Command } from 'commander';
import { topology } from '../orders/contract.ts';
import { diffTopology } from '../shared/index.ts';
import { EXIT } from './failure.ts';
import { printJson } from './output.ts';
import { withPubSub } from './pubsub-session.ts';
import { changeDocument, printChanges } from './topology-print.ts';

/** `throughline topology diff` */
export function addTopologyDiff(command: Command): void {
  command
    .command('diff')
    .description('what of the declared topics and subscriptions is missing in Pub/Sub, or differs')
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(topologyDiff);
}

const HELP = `
Exits with 1 when anything differs. What is not declared is left alone, and not shown.

Example:
  $ throughline topology diff || throughline topology apply`;

async function topologyDiff({ json = false }: { readonly json?: boolean }): Promise<void> {
  const changes = await withPubSub((connection, answered) => answered(diffTopology(connection, topology)));
  if (json) printJson({ isAsDeclared: changes.length === 0, changes: changes.map(changeDocument) });
  else printChanges(changes);
  if (changes.length > 0) process.exitCode = EXIT.failure;
}
