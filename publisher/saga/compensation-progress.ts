import { compensationAttempts, type Told, told } from './attempt-history.ts';
import type { OperatorAction, SagaEvent } from './event.ts';
import type { FoldedHistory } from './fold-history.ts';
import type { StepState } from './machine.ts';
import type { SagaView } from './view.ts';

export interface CompensationProgress extends Told {
  /** `unknown`: this process has no definition of the saga, and nothing has happened that would tell. */
  readonly kind: 'run' | 'job' | 'skip' | 'unknown';
  /**
   * `none`: there is nothing to undo (yet); `skipped`: the definition (`kind: 'skip'`) or an operator says that it need
   * not be undone, or the saga was resolved by hand before its turn came.
   */
  readonly status: 'none' | 'pending' | 'running' | 'undone' | 'skipped' | 'stuck';
  readonly attempts: number;
  /** Why it is skipped, in the words of the definition or of the operator. */
  readonly reason: string | undefined;
}

/** How far the compensation of one step is. */
export function describeCompensation(
  step: StepState,
  index: number,
  folded: FoldedHistory,
  view: SagaView,
): CompensationProgress {
  const events = view.history.map(({ event }) => event);
  const kind = compensationKind(index, folded);
  const status = compensationStatus(step, index, folded, view);
  const { attempt } = step.undo;
  const isUnderWay = status === 'running' || step.undo.status !== 'none';
  return {
    kind,
    status,
    attempts: isUnderWay ? attempt : attempt - 1,
    reason: status === 'skipped' || kind === 'skip' ? skipReason(step, index, folded, events) : undefined,
    ...told(compensationAttempts(events, step.name), {
      succeeded: status === 'undone',
      isOver: status !== 'running',
    }),
  };
}

function compensationKind(index: number, { definition, shape }: FoldedHistory): CompensationProgress['kind'] {
  if (definition) return definition.steps[index]?.compensation.kind ?? 'unknown';
  const derived = shape.steps[index]?.compensation ?? 'skip';
  return derived === 'skip' ? 'unknown' : derived;
}

function compensationStatus(
  step: StepState,
  index: number,
  { state, shape, definition }: FoldedHistory,
  view: SagaView,
): CompensationProgress['status'] {
  const { undo, mayHaveHappened } = step;
  const { phase } = state;
  if (undo.status === 'undone' || undo.status === 'skipped') return undo.status;
  if (phase === 'running' || phase === 'confirmed' || !mayHaveHappened) return 'none';
  if (shape.steps[index]?.compensation === 'skip')
    return definition || view.state === 'compensated' ? 'skipped' : 'none';
  if (phase === 'resolved') return 'skipped';
  if (undo.status === 'stuck') return 'stuck';
  return phase === 'compensating' && state.at === index ? 'running' : 'pending';
}

function skipReason(
  step: StepState,
  index: number,
  { definition, state }: FoldedHistory,
  events: readonly SagaEvent[],
): string | undefined {
  const compensation = definition?.steps[index]?.compensation;
  if (compensation?.kind === 'skip') return compensation.reason;
  if (step.undo.status === 'skipped') return operatorReason(events, 'skip', step.name);
  return state.phase === 'resolved' ? operatorReason(events, 'resolve') : undefined;
}

/** An operator's word is for the compensation that failed last before it. */
function operatorReason(
  events: readonly SagaEvent[],
  action: OperatorAction,
  step?: string,
): string | undefined {
  let stuckAt: string | undefined;
  let reason: string | undefined;
  for (const event of events) {
    if (event.kind === 'undo-failed') stuckAt = event.step;
    if (event.kind === 'operator' && event.action === action && (step ?? stuckAt) === stuckAt)
      reason = event.reason;
  }
  return reason;
}
