import type { SagaEvent } from './event.ts';
import { apply, initialState, SagaJournalError, type SagaShape, type SagaState } from './machine.ts';
import { type SagaOutline, shapeOfOutline } from './outline.ts';
import type { SagaView } from './view.ts';

export interface FoldedHistory {
  readonly state: SagaState;
  /** The definition that the history is one of; undefined: names and kinds were derived from the events. */
  readonly definition: SagaOutline | undefined;
  readonly shape: SagaShape;
}

/**
 * The state that a saga's history folds to, by its definition, or else by what the events alone tell of one.
 *
 * Errors: none; a history that its definition refuses is read without it, as far as it makes sense.
 */
export function foldHistory(view: SagaView, definition: SagaOutline | undefined): FoldedHistory {
  const isKnown = definition?.name === view.name && definition.version === view.version;
  if (definition && isKnown) {
    const shape = shapeOfOutline(definition);
    const { state, isWhole } = fold(shape, view);
    if (isWhole) return { state, shape, definition };
  }
  const shape = derivedShape(view);
  return { state: fold(shape, view).state, shape, definition: undefined };
}

function fold(shape: SagaShape, { history }: SagaView): { state: SagaState; isWhole: boolean } {
  let state = initialState(shape);
  for (const { event } of history) {
    try {
      state = apply(shape, state, event);
    } catch (error) {
      if (error instanceof SagaJournalError) return { state, isWhole: false };
      throw error;
    }
  }
  return { state, isWhole: true };
}

/** Steps in the order in which they were heard of. One whose compensation was never tried counts as having none. */
function derivedShape({ history, step: current }: SagaView): SagaShape {
  const events = history.map(({ event }) => event);
  const names = new Set(events.flatMap((event) => ('step' in event ? event.step : [])));
  if (current !== undefined) names.add(current);
  return {
    steps: [...names].map((name) => {
      const ofStep = events.filter((event) => 'step' in event && event.step === name);
      const isJob = ofStep.some((event) => event.kind === 'dispatched' && !event.undo);
      return { name, kind: isJob ? 'job' : 'function', compensation: compensationIn(ofStep) };
    }),
  };
}

function compensationIn(events: readonly SagaEvent[]): 'skip' | 'run' | 'job' {
  if (events.some((event) => event.kind === 'dispatched' && event.undo)) return 'job';
  return events.some(({ kind }) => kind === 'undone' || kind === 'undo-failed') ? 'run' : 'skip';
}
