import type { Command } from 'commander';
import { fenceDocument } from '../console/fence-document.ts';
import { printable } from '../insight/printable.ts';
import { describeTarget, type Fence } from '../shared/fence/fence.ts';
import { findFence, liftFence } from '../shared/fence/operate.ts';
import type { Database } from '../shared/storage/database.ts';
import { systemUser } from './actor.ts';
import { assertAskable, confirm } from './confirm.ts';
import { printFenceReceipt } from './fence-print.ts';
import { printJson } from './output.ts';
import { withDatabase } from './session.ts';

interface LiftOptions {
  readonly reason: string;
  readonly actor?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** `throughline fence lift ID` */
export function addFenceLift(fence: Command): void {
  fence
    .command('lift')
    .description('lift a fence: what it paused runs at once, what it cancelled stays cancelled')
    .argument('<fence>', "the fence's id, as fence list shows it")
    .requiredOption('--reason <text>', 'why; kept with the fence')
    .option('--actor <name>', 'who does it (default: the user of the operating system)')
    .option('--yes', 'do not ask')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  $ throughline fence lift 12 --reason "the mail partner is back"')
    .action(run);
}

async function run(fenceId: string, options: LiftOptions): Promise<void> {
  const asks = options.yes !== true;
  if (asks) assertAskable('fence lift', { input: process.stdin });
  const { reason, actor = systemUser() } = options;
  const { fence, traceId } = await withDatabase({ purpose: 'act' }, async (database) => {
    if (asks) await ask(database, fenceId);
    return liftFence(database, { fenceId, actor, reason, via: 'cli' });
  });
  if (options.json) return printJson({ ...fenceDocument(fence), traceId });
  printFenceReceipt(
    `Fence ${fence.id} is lifted (${fence.action} ${describeTarget(fence.target)}): ${told(fence)}`,
    traceId,
  );
}

/** Without a question when it is lifted already: then there is a refusal to come. */
async function ask(database: Database, fenceId: string): Promise<void> {
  const fence = await findFence(database, fenceId);
  if (fence.lifted) return;
  const { action, target, actor, addedAt, reason } = fence;
  const facts = `Fence ${fenceId} (${action} ${describeTarget(target)}), by ${actor} at ${addedAt}: ${reason}`;
  const question =
    action === 'pause' ? 'Lift it, and let what waits run?' : 'Lift it, and let what comes from now on run?';
  await confirm(`${printable(facts)}\n${question}`, { input: process.stdin, output: process.stderr });
}

function told({ action }: Fence): string {
  return action === 'pause'
    ? 'what waited runs.'
    : 'what it cancelled stays so; what comes from now on runs.';
}
