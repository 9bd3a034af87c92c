import type { ActiveSaga } from './active-saga.ts';
import type { SagaEvent } from './event.ts';
import type { Checkpoint, SagaUpdate } from './journal.ts';
import { apply, type Command, nextCommand, type SagaState } from './machine.ts';
import { countCheckpoint } from './saga-metrics.ts';
import { tellSaga } from './saga-spans.ts';

/** A wait that is shorter is sat out here, with the saga in hand; a longer one is left to the database, in ms. */
export const WAIT_IN_HAND_MS = 5_000;

export type Extras = Pick<Checkpoint, 'jobs' | 'taken' | 'cancelled'>;

export interface Proposal {
  readonly checkpoint: Checkpoint;
  /** To be called once the checkpoint is stored. */
  accept(): void;
  /** To be called when it was not, and the saga is to go on as if nothing had been proposed. */
  withdraw(): void;
}

/**
 * What is written when `events` happened to the saga: the events, and what the saga's row then says.
 *
 * The saga's span is told here, before the end is stored (saga-spans.ts: S3).
 */
export function propose(
  saga: ActiveSaga,
  events: readonly SagaEvent[],
  owner: string | null,
  extras: Extras = {},
): Proposal {
  const { state: before, history } = saga;
  const state = events.reduce((folded, event) => apply(saga.shape, folded, event), before);
  const command = nextCommand(saga.shape, state);
  const nowMs = Date.now();
  saga.state = state;
  history.push(...events);
  if (command.kind === 'end' || command.kind === 'rest') tellSaga(saga, state, nowMs);
  const update = rowAfter(saga, command, owner, nowMs);
  const append = { saga_id: saga.id, seq: saga.seq + 1, events };
  return {
    checkpoint: update ? { append, update, ...extras } : { append, ...extras },
    accept() {
      saga.seq += 1;
      countCheckpoint(saga, events, { before, after: state, nowMs });
      if (!update) return;
      saga.rowState = update.state;
      if (update.owner === null) saga.standing = 'released';
    },
    withdraw() {
      saga.state = before;
      history.length -= events.length;
    },
  };
}

/** What the saga's row has to say when this command is next; undefined: what it says already. */
function rowAfter(
  saga: ActiveSaga,
  command: Command,
  owner: string | null,
  nowMs: number,
): SagaUpdate | undefined {
  const { state } = saga;
  const reason = reasonOf(state);
  const row = { step: stepAt(saga), owner, wake_ms: null, ended_ms: null, reason };
  switch (command.kind) {
    case 'end':
      // What came meanwhile is looked at before the saga counts as ended: a worker's result may open it again.
      return saga.pending.size > 0
        ? { ...row, state: command.outcome, step: null, owner: null, wake_ms: nowMs }
        : { ...row, state: command.outcome, step: null, owner: null, ended_ms: nowMs };
    case 'rest':
      return { ...row, state: 'stuck', owner: null };
    case 'await': {
      if (saga.pending.has(command.waiting.name)) return undefined;
      const waiting = command.undo ? 'compensating' : 'waiting';
      return { ...row, state: waiting, owner: null, wake_ms: command.waiting.deadlineMs };
    }
    default: {
      const { notBeforeMs = 0 } = command;
      if (owner === null) return { ...row, state: state.phase, wake_ms: Math.max(nowMs, notBeforeMs) };
      if (notBeforeMs - nowMs > WAIT_IN_HAND_MS)
        return { ...row, state: state.phase, owner: null, wake_ms: notBeforeMs };
      return state.phase === saga.rowState ? undefined : { ...row, state: state.phase };
    }
  }
}

function reasonOf({ failure, phase, steps, at }: SagaState): string | null {
  const stuckAt = phase === 'stuck' ? steps[at] : undefined;
  if (stuckAt?.undo.error) {
    const { type, message } = stuckAt.undo.error;
    return `compensating ${stuckAt.name} failed: ${type}: ${message}`;
  }
  return failure ? `${failure.step}: ${failure.error.type}: ${failure.error.message}` : null;
}

function stepAt({ state }: ActiveSaga): string | null {
  return state.steps[state.at]?.name ?? null;
}
