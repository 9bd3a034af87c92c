import type { Context } from '@opentelemetry/api';
import { type ReservedSpan, reservedContext } from '../../shared/trace/durable-span.ts';
import type { Saga } from './define.ts';
import type { SagaEvent } from './event.ts';
import { apply, initialState, type SagaShape, type SagaState } from './machine.ts';

/** A saga that this process works on. */
export interface ActiveSaga {
  readonly id: string;
  readonly definition: Saga;
  readonly shape: SagaShape;
  readonly orderKey: string | undefined;
  /** As the definition's schema reads it. */
  readonly input: unknown;
  readonly span: ReservedSpan;
  /** The saga's span with its baggage: what its steps are started in. */
  readonly context: Context;
  /** Signals that came and are not in the journal yet, by name. */
  readonly pending: Map<string, PendingSignal>;
  readonly history: SagaEvent[];
  state: SagaState;
  /** Number of the checkpoint that was stored last. */
  seq: number;
  /** What the saga's row says of its state. */
  rowState: string;
  /** Aborts the attempt under way. */
  controller: AbortController | undefined;
  /** `lost`: another process has it; `released`: nobody has, until something comes. */
  standing: 'mine' | 'released' | 'lost';
}

export interface PendingSignal {
  readonly payload: unknown;
  readonly carrier: Readonly<Record<string, string>>;
}

export interface ActivationFacts {
  readonly id: string;
  readonly definition: Saga;
  readonly orderKey: string | undefined;
  readonly input: unknown;
  readonly span: ReservedSpan;
  readonly rowState?: string;
  /** One list of events a checkpoint. */
  readonly checkpoints?: readonly (readonly SagaEvent[])[];
  readonly pending?: ReadonlyMap<string, PendingSignal>;
}

/** Errors: SagaJournalError when the journal is not one of this definition. */
export function activate(facts: ActivationFacts): ActiveSaga {
  const { id, definition, orderKey, span, checkpoints = [] } = facts;
  const shape = shapeOf(definition);
  const history = checkpoints.flat();
  return {
    id,
    definition,
    shape,
    orderKey,
    span,
    input: facts.input,
    context: reservedContext(span),
    pending: new Map(facts.pending),
    history,
    state: history.reduce((state, event) => apply(shape, state, event), initialState(shape)),
    seq: checkpoints.length,
    rowState: facts.rowState ?? 'running',
    controller: undefined,
    standing: 'mine',
  };
}

const shapes = new WeakMap<Saga, SagaShape>();

export function shapeOf(definition: Saga): SagaShape {
  let shape = shapes.get(definition);
  if (!shape) {
    const steps = definition.steps.map(({ name, job, compensation }) => ({
      name,
      kind: job ? ('job' as const) : ('function' as const),
      compensation: compensation.kind,
    }));
    shape = { steps };
    shapes.set(definition, shape);
  }
  return shape;
}
