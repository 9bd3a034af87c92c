import { stepAttempts, type Told, timeOf, told } from './attempt-history.ts';
import { type CompensationProgress, describeCompensation } from './compensation-progress.ts';
import type { Saga } from './define.ts';
import type { SagaEvent, StoredError } from './event.ts';
import { type FoldedHistory, foldHistory } from './fold-history.ts';
import type { StepState } from './machine.ts';
import { outlineOf, type SagaOutline } from './outline.ts';
import type { SagaView } from './view.ts';

/** A saga, step by step, as people and the order's page read it. Times are RFC 3339, in UTC. */
export interface SagaProgress {
  /** In the order of the definition; of a saga without one, those that were heard of. */
  readonly steps: readonly StepProgress[];
  /** The signal that the saga is suspended for. */
  readonly waitingFor: SignalAwaited | undefined;
  /** The step whose failure made the saga turn back. */
  readonly failure: { readonly step: string; readonly error: StoredError } | undefined;
}

export interface StepProgress extends Told {
  readonly name: string;
  /** `running`: also between two attempts; `waiting`: for a signal (`waitingFor`) or for a worker. */
  readonly status: 'pending' | 'running' | 'waiting' | 'completed' | 'failed';
  /** The one under way included; 0: none yet. */
  readonly attempts: number;
  /** Time that it spent waiting for a signal or a worker, once that is over, in ms. */
  readonly waitMs: number | undefined;
  readonly compensation: CompensationProgress;
}

export interface SignalAwaited {
  readonly step: string;
  readonly signal: string;
  readonly since: string;
  readonly deadline: string;
  /** What the step gave to `suspend`. */
  readonly data: unknown;
}

/**
 * Tells a saga's history step by step. Without an outline of its definition it derives what the events alone tell.
 *
 * Errors: none.
 */
export function describeProgress(view: SagaView, definition: Saga | SagaOutline | undefined): SagaProgress {
  const outline = definition && 'input' in definition ? outlineOf(definition) : definition;
  const folded = foldHistory(view, outline);
  const events = view.history.map(({ event }) => event);
  return {
    steps: folded.state.steps.map((step, index) => ({
      ...describeStep(step, index, folded, events),
      compensation: describeCompensation(step, index, folded, view),
    })),
    waitingFor: signalAwaited(folded),
    failure: folded.state.failure,
  };
}

function describeStep(
  step: StepState,
  index: number,
  { state }: FoldedHistory,
  events: readonly SagaEvent[],
): Omit<StepProgress, 'compensation'> {
  const status = stepStatus(step, state.phase === 'running' && state.at === index);
  const attempts = stepAttempts(events, step.name);
  return {
    name: step.name,
    status,
    attempts: status === 'pending' ? 0 : step.attempt,
    waitMs: attempts.waitMs,
    ...told(attempts, {
      succeeded: status === 'completed',
      isOver: status === 'completed' || status === 'failed',
    }),
  };
}

function stepStatus({ status }: StepState, isCurrent: boolean): StepProgress['status'] {
  if (status === 'suspended' || status === 'dispatched') return 'waiting';
  if (status === 'completed' || status === 'failed') return status;
  return isCurrent ? 'running' : 'pending';
}

function signalAwaited({ state }: FoldedHistory): SignalAwaited | undefined {
  const step = state.phase === 'running' ? state.steps[state.at] : undefined;
  if (step?.status !== 'suspended' || !step.waiting) return undefined;
  const { name, sinceMs, deadlineMs, data } = step.waiting;
  return { step: step.name, signal: name, since: timeOf(sinceMs), deadline: timeOf(deadlineMs), data };
}
