import type { SagaEvent } from '../../publisher/saga/event.ts';
import {
  apply,
  type Command,
  initialState,
  type SagaShape,
  type SagaState,
} from '../../publisher/saga/machine.ts';

/** The state after these events. Errors: SagaJournalError. */
export function fold(shape: SagaShape, events: readonly SagaEvent[]): SagaState {
  return events.reduce((state, event) => apply(shape, state, event), initialState(shape));
}

/** Shape: `run 2`, `dispatch-undo 0`, `await 1`, `rest`, `end compensated`. */
export function told(command: Command): string {
  if (command.kind === 'end') return `end ${command.outcome}`;
  return 'index' in command ? `${command.kind} ${command.index}` : command.kind;
}

/**
 * What the saga machine promises, said a second time and more plainly: a ledger of what happened to each step. The machine
 * must accept and refuse what this accepts and refuses, and command what this expects.
 */
export interface SagaModel {
  /** False when the event cannot have happened now; nothing is changed then. */
  record(event: SagaEvent): boolean;
  /** As `told` tells a command. */
  expected(): string;
  /** Steps that may have happened, are to be compensated, and are not: the last one first. */
  outstanding(): readonly number[];
}

interface StepLedger {
  mayHaveHappened: boolean;
  isUndone: boolean;
  isSkipped: boolean;
  undoAttempt: number;
}

interface Current {
  readonly attempt: number;
  readonly at: 'start' | 'suspended' | 'signalled' | 'dispatched';
}

type Numbered = Exclude<SagaEvent, { kind: 'completed-late' | 'interrupted' | 'operator' }>;

export function createSagaModel({ steps }: SagaShape): SagaModel {
  const ledger: StepLedger[] = steps.map(() => ({
    mayHaveHappened: false,
    isUndone: false,
    isSkipped: false,
    undoAttempt: 1,
  }));
  let completed = 0;
  let current: Current = { attempt: 1, at: 'start' };
  let failed: number | undefined;
  let isLate = false;
  let undoJob: { readonly index: number; isOutdated: boolean } | undefined;
  let stuck: number | undefined;
  let isResolved = false;

  const outstanding = () =>
    ledger
      .flatMap(({ mayHaveHappened, isUndone, isSkipped }, index) =>
        mayHaveHappened && !isUndone && !isSkipped && steps[index]?.compensation !== 'skip' ? [index] : [],
      )
      .reverse();
  const isEnded = () =>
    isResolved || completed === steps.length || (failed !== undefined && outstanding().length === 0);
  const toUndo = () => undoJob?.index ?? outstanding()[0];

  const forward = (event: Numbered): boolean => {
    const step = steps[completed];
    const own = ledger[completed];
    const isCurrent = event.step === step?.name && event.attempt === current.attempt;
    if (failed !== undefined || !own || !step || !isCurrent) return false;
    const isJob = step.kind === 'job';
    const isReady = current.at === (isJob ? 'dispatched' : 'signalled') || (!isJob && current.at === 'start');
    switch (event.kind) {
      case 'completed':
        if (!isReady) return false;
        own.mayHaveHappened = true;
        completed += 1;
        current = { attempt: 1, at: 'start' };
        return true;
      case 'failed':
        if (event.retryAtMs !== undefined && (current.at === 'suspended' || current.at === 'dispatched'))
          return false;
        own.mayHaveHappened ||= event.mayHaveHappened;
        if (event.retryAtMs === undefined) failed = completed;
        else current = { ...current, attempt: current.attempt + 1 };
        return true;
      case 'suspended':
      case 'dispatched':
        if (current.at !== 'start' || isJob !== (event.kind === 'dispatched')) return false;
        own.mayHaveHappened = true;
        current = { ...current, at: event.kind };
        return true;
      case 'signalled':
        if (current.at !== 'suspended') return false;
        current = { ...current, at: 'signalled' };
        return true;
      default:
        return false;
    }
  };

  const backward = (event: Extract<Numbered, { kind: 'undone' | 'undo-failed' | 'dispatched' }>): boolean => {
    const index = toUndo();
    const own = index === undefined ? undefined : ledger[index];
    if (failed === undefined || stuck !== undefined || isResolved || index === undefined || !own)
      return false;
    if (event.step !== steps[index]?.name || event.attempt !== own.undoAttempt) return false;
    const isByJob = steps[index]?.compensation === 'job';
    if (event.kind === 'dispatched') {
      if (!isByJob || undoJob) return false;
      undoJob = { index, isOutdated: false };
      return true;
    }
    if (event.kind === 'undone' && isByJob !== (undoJob !== undefined)) return false;
    const again = event.kind === 'undone' ? undoJob?.isOutdated === true : event.retryAtMs !== undefined;
    undoJob = undefined;
    if (again) own.undoAttempt += 1;
    else if (event.kind === 'undone') own.isUndone = true;
    else stuck = index;
    return true;
  };

  const late = (event: Extract<SagaEvent, { kind: 'completed-late' }>): boolean => {
    const own = failed === undefined ? undefined : ledger[failed];
    if (failed === undefined || !own || isLate || isResolved || event.step !== steps[failed]?.name)
      return false;
    isLate = true;
    own.mayHaveHappened = true;
    if (undoJob?.index === failed) undoJob.isOutdated = true;
    if (own.isUndone) {
      own.isUndone = false;
      own.undoAttempt += 1;
    }
    return true;
  };

  const operate = ({ action }: Extract<SagaEvent, { kind: 'operator' }>): boolean => {
    const own = stuck === undefined ? undefined : ledger[stuck];
    if (!own || isResolved) return false;
    if (action === 'retry') own.undoAttempt += 1;
    if (action === 'skip') own.isSkipped = true;
    if (action === 'resolve') isResolved = true;
    stuck = undefined;
    return true;
  };

  return {
    outstanding,
    record(event) {
      switch (event.kind) {
        case 'interrupted': {
          const own = ledger[completed];
          if (own && failed === undefined && current.at === 'start') own.mayHaveHappened = true;
          return true;
        }
        case 'operator':
          return operate(event);
        case 'completed-late':
          return late(event);
        case 'undone':
        case 'undo-failed':
          return backward(event);
        case 'dispatched':
          return event.undo ? backward(event) : forward(event);
        default:
          return forward(event);
      }
    },
    expected() {
      if (isResolved) return 'end resolved';
      if (stuck !== undefined) return 'rest';
      if (isEnded()) return failed === undefined ? 'end confirmed' : 'end compensated';
      if (undoJob) return `await ${undoJob.index}`;
      const index = failed === undefined ? completed : toUndo();
      const step = steps[index ?? 0];
      if (failed !== undefined) return `${step?.compensation === 'job' ? 'dispatch-undo' : 'undo'} ${index}`;
      if (current.at === 'signalled') return `resume ${index}`;
      if (current.at !== 'start') return `await ${index}`;
      return `${step?.kind === 'job' ? 'dispatch' : 'run'} ${index}`;
    },
  };
}
