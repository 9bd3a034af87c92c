import type { Command } from 'commander';
import { operateTopology } from '../console/apply-topology.ts';
import { printable } from '../insight/printable.ts';
import { topology } from '../orders/contract.ts';
import { readConfig } from '../shared/config.ts';
import { diffTopology, formatChange, type PubSubConnection, TopologyConflictError } from '../shared/index.ts';
import type { Database } from '../shared/storage/database.ts';
import { systemUser } from './actor.ts';
import { assertAskable, confirm } from './confirm.ts';
import { printJson, printLine } from './output.ts';
import { type Answered, withPubSub } from './pubsub-session.ts';
import { withDatabase } from './session.ts';
import { changeDocument, printChanges } from './topology-print.ts';

interface ApplyOptions {
  readonly actor?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** `throughline topology apply` */
export function addTopologyApply(command: Command): void {
  command
    .command('apply')
    .description('create and update what differs; safe to run again')
    .option('--actor <name>', 'who does it (default: the user of the operating system)')
    .option('--yes', 'do not ask')
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(run);
}

const HELP = `
Nothing at all is changed when a field differs that Pub/Sub does not let change; what to do then is said. With DATABASE_URL
set an audit row is written.

Example:
  $ throughline topology apply --yes`;

async function run(options: ApplyOptions): Promise<void> {
  const asks = options.yes !== true;
  if (asks) assertAskable('topology apply', { input: process.stdin });
  const { actor = systemUser() } = options;
  const work = (database?: Database) =>
    withPubSub((connection, answered) =>
      apply({ connection, answered, audit: database }, { ...options, actor }),
    );
  if (readConfig().databaseUrl !== undefined) return withDatabase({ purpose: 'act' }, work);
  console.error('DATABASE_URL is not set: no audit row is written.');
  return work();
}

interface Parts {
  readonly connection: PubSubConnection;
  readonly answered: Answered;
  readonly audit: Database | undefined;
}

async function apply(
  { connection, answered, audit }: Parts,
  { actor, yes = false, json = false }: ApplyOptions & { readonly actor: string },
): Promise<void> {
  const changes = await answered(diffTopology(connection, topology));
  const conflicts = changes.filter(({ action }) => action === 'conflict');
  if (conflicts.length > 0) {
    if (json) printJson({ changes: changes.map(changeDocument) });
    else printChanges(changes);
    throw new TopologyConflictError(conflicts);
  }
  if (changes.length > 0 && !yes) await ask(changes.map(formatChange));
  const options = { connection, topology, changes, audit, actor, via: 'cli' } as const;
  const made = changes.length > 0 ? await answered(operateTopology(options)) : [];
  if (json) return printJson({ changes: made.map(changeDocument) });
  printChanges(made);
  if (made.length > 0) printLine(`${made.length} ${made.length === 1 ? 'change was' : 'changes were'} made.`);
}

async function ask(changes: readonly string[]): Promise<void> {
  const lines = changes.map((change) => printable(change)).join('\n');
  await confirm(`${lines}\nMake these changes?`, { input: process.stdin, output: process.stderr });
}
