import type { Command } from 'commander';
import { printable } from '../insight/printable.ts';
import { type OperatorAction, type OperatorReceipt, operateSaga, readSaga } from '../publisher/saga/index.ts';
import type { Database } from '../shared/storage/database.ts';
import { systemUser } from './actor.ts';
import { assertAskable, confirm } from './confirm.ts';
import { printJson, printLine } from './output.ts';
import { withDatabase } from './session.ts';

export interface OperateOptions {
  readonly reason?: string;
  readonly actor?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export interface OperateCommand {
  readonly action: OperatorAction;
  readonly description: string;
  /** Asked before it is done; undefined: it may be done without asking. */
  readonly question?: string;
  /** What is said once it is done. */
  readonly told: string;
  readonly help: string;
}

/** What `saga retry`, `saga skip` and `saga resolve` have in common. */
export function addOperate(saga: Command, operate: OperateCommand): void {
  const { action, description, question, help } = operate;
  const command = saga.command(action).description(description).argument('<saga>', "the stuck saga's id");
  if (question === undefined) command.option('--reason <text>', 'why; kept with the action');
  else command.requiredOption('--reason <text>', 'why; kept with the action');
  command
    .option('--actor <name>', 'who does it (default: the user of the operating system)')
    .option('--yes', question === undefined ? 'accepted, and not needed: this does not ask' : 'do not ask')
    .option('--json', 'print one JSON document')
    .addHelpText('after', `\n${help}`)
    .action((sagaId: string, options: OperateOptions) => run(operate, sagaId, options));
}

async function run(operate: OperateCommand, sagaId: string, options: OperateOptions): Promise<void> {
  const { action, question } = operate;
  const asks = question !== undefined && options.yes !== true;
  if (asks) assertAskable(`saga ${action}`, { input: process.stdin });
  const { actor = systemUser(), reason } = options;
  const receipt = await withDatabase({ purpose: 'act' }, async (database) => {
    if (asks) await ask(database, sagaId, question);
    return operateSaga(database, { sagaId, action, actor, reason, via: 'cli' });
  });
  if (options.json) return printJson({ ...receipt, actor, reason });
  printReceipt(operate, receipt);
}

/** Without a question when the saga is not stuck: then there is a refusal to come. */
async function ask(database: Database, sagaId: string, question: string): Promise<void> {
  const saga = await readSaga(database, sagaId);
  if (saga?.state !== 'stuck') return;
  const { name, orderKey = 'no order', step = '?', reason = '' } = saga;
  const facts = `Saga ${sagaId} (${name}, ${orderKey}) is stuck at ${step}: ${reason}`;
  await confirm(`${printable(facts)}\n${question}`, { input: process.stdin, output: process.stderr });
}

function printReceipt({ told }: OperateCommand, { sagaId, step, traceId }: OperatorReceipt): void {
  printLine(printable(`Saga ${sagaId}, stuck at ${step ?? '?'}: ${told}`));
  if (traceId !== undefined) printLine(`Trace ${traceId}`);
}
