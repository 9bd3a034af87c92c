import { operateTopology } from '../console/apply-topology.ts';
import { printable } from '../insight/printable.ts';
import { topology } from '../orders/contract.ts';
import { readConfig } from '../shared/config.ts';
import { diffTopology, formatChange, type PubSubConnection, TopologyConflictError } from '../shared/index.ts';
import type { Database } from '../shared/storage/database.ts';
import { systemUser } from './actor.ts';
import { assertAskable, confirm } from './confirm.ts';
import { EXIT } from './failure.ts';
import { printJson, printLine } from './output.ts';
import { type Answered, withPubSub } from './pubsub-session.ts';
import { withDatabase } from './session.ts';
import { changeDocument, printChanges } from './topology-print.ts';

/** What `topology diff` and `topology apply` do; apart from the commands, because Google's client is slow to load. */
export async function diff({ json = false }: { readonly json?: boolean }): Promise<void> {
  const changes = await withPubSub((connection, answered) => answered(diffTopology(connection, topology)));
  if (json) printJson({ isAsDeclared: changes.length === 0, changes: changes.map(changeDocument) });
  else printChanges(changes);
  if (changes.length > 0) process.exitCode = EXIT.failure;
}

export interface ApplyOptions {
  readonly actor?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export async function apply(options: ApplyOptions): Promise<void> {
  const asks = options.yes !== true;
  if (asks) assertAskable('topology apply', { input: process.stdin });
  const { actor = systemUser() } = options;
  const work = (database?: Database) =>
    withPubSub((connection, answered) =>
      makeChanges({ connection, answered, audit: database }, { ...options, actor }),
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

async function makeChanges(
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
