import { Argument, type Command } from 'commander';
import { fenceDocument } from '../console/fence-document.ts';
import { printable } from '../insight/printable.ts';
import { describeTarget, type FenceAction, type FenceTarget } from '../shared/fence/fence.ts';
import { addFence } from '../shared/fence/operate.ts';
import { systemUser } from './actor.ts';
import { assertAskable, confirm } from './confirm.ts';
import { printFenceReceipt } from './fence-print.ts';
import { printJson } from './output.ts';
import { withDatabase } from './session.ts';

interface AddOptions {
  readonly job?: string;
  readonly campaign?: string;
  readonly order?: string;
  readonly reason: string;
  readonly actor?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** `throughline fence add pause|cancel` */
export function addFenceAdd(fence: Command): void {
  fence
    .command('add')
    .description('pause or cancel jobs, at every worker at once')
    .addArgument(
      new Argument(
        '<action>',
        'pause: jobs wait until it is lifted; cancel: jobs that come never run',
      ).choices(['pause', 'cancel']),
    )
    .option('--job <name>', 'the jobs of this name, without a version: mail.send')
    .option('--campaign <id>', 'the jobs of one campaign')
    .option('--order <key>', 'the jobs of one order')
    .requiredOption('--reason <text>', 'why; kept with the fence and with every job that it cancels')
    .option('--actor <name>', 'who does it (default: the user of the operating system)')
    .option('--yes', 'do not ask (pause does not ask)')
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(run);
}

const HELP = `
Of --job, --campaign and --order at least one is needed; a job is stopped when it fits all that are given.

Examples:
  $ throughline fence add pause --job mail.send --reason "the mail partner is down"
  $ throughline fence add cancel --campaign autumn-terms --reason "sent to the wrong segment"
  $ throughline fence add cancel --order O-1042 --job workspace.set-up --reason "ticket 4711" --yes`;

async function run(action: FenceAction, options: AddOptions): Promise<void> {
  const asks = action === 'cancel' && options.yes !== true;
  if (asks) assertAskable('fence add cancel', { input: process.stdin });
  const { job, campaign, order, reason, actor = systemUser() } = options;
  const target = {
    ...(job !== undefined && { job }),
    ...(campaign !== undefined && { campaign }),
    ...(order !== undefined && { orderKey: order }),
  };
  const { fence, traceId } = await withDatabase({ purpose: 'act' }, async (database) => {
    if (asks) await ask(target);
    return addFence(database, { action, target, actor, reason, via: 'cli' });
  });
  if (options.json) return printJson({ ...fenceDocument(fence), traceId });
  const told = action === 'pause' ? 'they wait until it is lifted' : 'those that come never run';
  printFenceReceipt(`Fence ${fence.id} stands: ${action} ${describeTarget(target)}; ${told}.`, traceId);
}

async function ask(target: FenceTarget): Promise<void> {
  const question = `Cancel every job with ${describeTarget(target)} that comes from now on? None of them will ever run, also after the fence is lifted.`;
  await confirm(printable(question), { input: process.stdin, output: process.stderr });
}
