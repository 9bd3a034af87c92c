import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { UnknownSagaError } from './errors.ts';
import { type PendingAction, pendingAction } from './operate.ts';
import { readOutline } from './outline.ts';
import { describeProgress, type SagaProgress } from './progress.ts';
import { readSaga, type SagaView } from './view.ts';

/** What an operator told a saga. */
export interface OperatorNote {
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly reason: string | undefined;
}

/** All that is known of a saga, as operators read it. */
export interface SagaDetail extends SagaView, SagaProgress {
  /** What operators told it, as far as an engine has taken it up. */
  readonly operators: readonly OperatorNote[];
  /** What it was told and no engine has taken up yet. */
  readonly pendingAction: PendingAction | undefined;
}

/**
 * Steps that are still to come are told as well, if an engine that knows the saga was ever started on this database.
 *
 * Errors: UnknownSagaError, DatabaseUnavailableError.
 */
export async function readSagaDetail(client: SqlClient, sagaId: string): Promise<SagaDetail> {
  const view = await readSaga(client, sagaId);
  if (!view) throw new UnknownSagaError(sagaId);
  const { history, ...summary } = view;
  return {
    ...summary,
    ...describeProgress(view, await readOutline(client, view)),
    operators: operatorsIn(view),
    pendingAction: await pendingAction(client, sagaId),
    history,
  };
}

function operatorsIn({ history }: SagaView): OperatorNote[] {
  return history.flatMap(({ event }) => {
    if (event.kind !== 'operator') return [];
    const { actor, action, reason, atMs } = event;
    return { at: new Date(atMs).toISOString(), actor, action, reason: reason || undefined };
  });
}
