import { humaniseMs } from '../insight/duration.ts';
import { printable } from '../insight/printable.ts';
import type { CompensationProgress, SagaDetail, StepProgress } from '../publisher/saga/index.ts';
import { printLine, printTable } from './output.ts';

/** A saga for people: its facts, its steps, and what can be done about it. */
export function printSaga(saga: SagaDetail): void {
  const { steps, operators, pendingAction } = saga;
  for (const [label, value] of facts(saga))
    if (value !== undefined) printLine(`${label.padEnd(10)}${printable(value)}`);
  printLine('');
  printTable(
    ['STEP', 'STATUS', 'TRIES', 'STARTED', 'TOOK', 'WAITED', 'COMPENSATION', 'TRIES', 'DETAIL'],
    steps.map(stepRow),
  );
  if (operators.length > 0) {
    printLine('');
    printTable(
      ['AT', 'OPERATOR', 'DID', 'REASON'],
      operators.map(({ at, actor, action, reason }) => [at, actor, action, reason]),
    );
  }
  if (saga.state === 'stuck' && !pendingAction)
    printLine(`\nNext: throughline saga retry|skip|resolve ${printable(saga.sagaId)}`);
}

function facts(view: SagaDetail): [string, string | undefined][] {
  const { state, step, waitingFor, pendingAction: pending } = view;
  const waits = waitingFor && `for signal "${waitingFor.signal}", until ${waitingFor.deadline}`;
  return [
    ['saga', view.sagaId],
    ['name', `${view.name}, version ${view.version}`],
    ['order', view.orderKey],
    ['state', step === undefined || state === 'running' ? state : `${state} at ${step}`],
    ['reason', view.reason],
    ['parked', view.parked],
    ['waits', waits],
    ['told', pending && `to ${pending.action}, by ${pending.actor}; no engine has taken that up yet`],
    ['started', view.startedAt],
    ['ended', view.endedAt],
    ['trace', view.traceId],
  ];
}

function stepRow(step: StepProgress): (string | number | undefined)[] {
  const { name, status, attempts, startedAt, waitMs, compensation } = step;
  return [
    name,
    status,
    attempts,
    startedAt,
    took(step),
    waitMs === undefined ? undefined : humaniseMs(waitMs),
    compensation.status === 'none' ? undefined : compensation.status,
    compensation.attempts || undefined,
    detail(step, compensation),
  ];
}

function took({ startedAt, endedAt }: StepProgress): string | undefined {
  if (startedAt === undefined || endedAt === undefined) return undefined;
  return humaniseMs(Date.parse(endedAt) - Date.parse(startedAt));
}

function detail({ error }: StepProgress, compensation: CompensationProgress): string {
  const parts = [
    error && `${error.type}: ${error.message}`,
    compensation.error && `compensation: ${compensation.error.type}: ${compensation.error.message}`,
    compensation.status === 'skipped' && compensation.reason && `skipped: ${compensation.reason}`,
  ];
  return parts.filter((part) => part).join('; ');
}
