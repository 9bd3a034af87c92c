import type { Logger } from '../../shared/log.ts';
import { storableText } from '../../shared/storable.ts';
import { type Database, DatabaseUnavailableError } from '../../shared/storage/database.ts';
import { count } from '../../shared/trace/meters.ts';
import { errorMessage, errorType } from '../../shared/trace/record-error.ts';
import { ERROR_TYPE, SAGA_NAME, SAGA_STEP } from '../../shared/trace/semconv.ts';
import type { ActiveSaga } from './active-saga.ts';
import { arrived, leftovers } from './awaited.ts';
import { type CarriedOut, type CarryOutDependencies, carryOut, type Work } from './carry-out.ts';
import { type Extras, propose } from './checkpoint.ts';
import { EngineStoppingError, SagaLostError } from './errors.ts';
import type { SagaEvent } from './event.ts';
import type { Journal } from './journal.ts';
import { nextCommand } from './machine.ts';

export interface DriverOptions {
  readonly database: Database;
  readonly journal: Journal;
  readonly service: string;
  readonly resultTopic: string | undefined;
  readonly logger: Logger | undefined;
  /** The runner that this process is now. */
  readonly runner: () => string;
  readonly isStopping: () => boolean;
  /** Whether this process may still act for its sagas. */
  readonly isAlive: () => boolean;
  /** Gives a saga up, to be taken over like a dead process's. */
  readonly disown: (sagaId: string) => Promise<void>;
  /** Resolves after `ms`, or sooner when the engine stops. */
  readonly pause: (ms: number) => Promise<void>;
}

/**
 * Takes one saga forward, a command at a time, until it ends, waits, is stuck, or another process has it.
 *
 * R1. A command is carried out only after everything before it is stored (machine.ts: M1).
 * R2. Once a checkpoint was refused, or the lease has run out, nothing more is done for the saga here: another process
 *     has it. Should that one have given it up as well, as its checkpoints were refused in turn, whoever is written down
 *     as its owner lets go of it.
 * R3. What an attempt proposes in its own transaction is accepted or withdrawn when the attempt has ended, for it changes
 *     the state. A transaction that outlasts its attempt finds its proposal withdrawn, and is rolled back.
 */
export async function drive(saga: ActiveSaga, options: DriverOptions): Promise<void> {
  const dependencies: CarryOutDependencies = {
    database: options.database,
    service: options.service,
    resultTopic: options.resultTopic,
    storeIn: async (tx, one, event) => {
      const proposal = propose(one, [event], ownerOf(options));
      proposals.set(one, proposal); // R3: before it is written, which may outlast the attempt
      const stored = await options.journal.writeIn(tx, proposal.checkpoint);
      if (proposals.get(one) !== proposal) throw new SagaLostError(one.id); // R3
      if (stored) return;
      one.standing = 'lost';
      throw new SagaLostError(one.id);
    },
  };
  while (saga.standing === 'mine') await driveOnce(saga, options, dependencies);
}

/** R3. Proposed in a transaction that is not known to be committed yet. */
const proposals = new WeakMap<ActiveSaga, ReturnType<typeof propose>>();

async function driveOnce(
  saga: ActiveSaga,
  options: DriverOptions,
  dependencies: CarryOutDependencies,
): Promise<void> {
  const command = nextCommand(saga.shape, saga.state);
  if (command.kind === 'await' || command.kind === 'rest' || command.kind === 'end') {
    const came = arrived(saga, command);
    if (came) return checkpoint(saga, options, came.events, came.extras);
    return release(saga, options, command);
  }
  await waitUntil(command.notBeforeMs, options);
  if (!options.isAlive()) {
    saga.standing = 'lost'; // R2
    return;
  }
  if (options.isStopping()) return release(saga, options, command);
  const done = await carryOut(saga, command as Work, dependencies);
  await settle(saga, options, done);
}

async function waitUntil(
  notBeforeMs: number | undefined,
  { pause, isStopping }: DriverOptions,
): Promise<void> {
  const delayMs = (notBeforeMs ?? 0) - Date.now();
  if (delayMs > 0 && !isStopping()) await pause(delayMs);
}

async function settle(saga: ActiveSaga, options: DriverOptions, done: CarriedOut): Promise<void> {
  if (saga.standing !== 'mine') return; // R2
  const proposal = proposals.get(saga);
  proposals.delete(saga);
  switch (done.kind) {
    case 'events':
      return checkpoint(saga, options, done.events, done.extras);
    case 'stored':
      proposal?.accept();
      return;
    case 'failed':
      if (proposal && (await wasCommitted(saga, options, done.error))) return proposal.accept();
      proposal?.withdraw();
      return settleFailure(saga, options, done);
  }
}

/** The connection went away in the commit: the journal knows how it ended (journal.ts: J3). */
async function wasCommitted(saga: ActiveSaga, options: DriverOptions, error: unknown): Promise<boolean> {
  if (!(error instanceof DatabaseUnavailableError)) return false;
  return throughOutage(options, () => options.journal.wrote(saga.id, saga.seq + 1));
}

const OUTAGE_PAUSE_MS = 100;

/** Tries until the database answers. Errors: DatabaseUnavailableError once the lease has run out; what else `work` throws. */
async function throughOutage<T>({ isAlive, pause }: DriverOptions, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DatabaseUnavailableError) || !isAlive()) throw error;
      await pause(OUTAGE_PAUSE_MS);
    }
  }
}

async function settleFailure(
  saga: ActiveSaga,
  options: DriverOptions,
  done: Extract<CarriedOut, { kind: 'failed' }>,
): Promise<void> {
  const event = done.event();
  if (!(done.error instanceof EngineStoppingError)) return checkpoint(saga, options, [event]);
  // Cut short by us: no failure of the step's.
  const interrupted = {
    kind: 'interrupted',
    cause: 'shutdown',
    runner: options.runner(),
    atMs: Date.now(),
  } as const;
  return checkpoint(saga, options, [interrupted]);
}

/** Stores what happened, and with it what the saga's row says. */
export async function checkpoint(
  saga: ActiveSaga,
  options: DriverOptions,
  events: readonly SagaEvent[],
  extras?: Extras,
): Promise<void> {
  const proposal = propose(saga, events, ownerOf(options), extras);
  const isStored = await options.journal.write(proposal.checkpoint);
  if (!isStored) {
    saga.standing = 'lost'; // R2
    options.logger?.warn({ sagaId: saga.id }, 'another process has this saga');
    await throughOutage(options, () => options.disown(saga.id));
    return;
  }
  proposal.accept();
  report(saga, options);
}

function ownerOf({ isStopping, runner }: DriverOptions): string | null {
  return isStopping() ? null : runner();
}

function report(saga: ActiveSaga, { logger }: DriverOptions): void {
  const { phase, failure } = saga.state;
  if (phase !== 'stuck') return;
  const step = saga.state.steps[saga.state.at];
  logger?.error(
    { sagaId: saga.id, orderKey: saga.orderKey, step: step?.name, error: step?.undo.error, failure },
    'saga stuck: a compensation failed for good',
  );
}

/** Gives the saga up without an event: nothing came for it, or this process stops. */
async function release(
  saga: ActiveSaga,
  options: DriverOptions,
  command: ReturnType<typeof nextCommand>,
): Promise<void> {
  const wakeMs = command.kind === 'await' ? command.waiting.deadlineMs : Date.now();
  const isOver = command.kind === 'end' || command.kind === 'rest';
  // Only after a look at them can signals be left over.
  const taken = isOver || command.kind === 'await' ? leftovers(saga) : [];
  const values = [saga.id, options.runner(), isOver ? null : wakeMs, taken, command.kind === 'end'];
  await throughOutage(options, () =>
    options.database.query({ name: 'throughline-saga-release', text: RELEASE, values }),
  );
  // Not before: one that could not be let go of is still ours to park.
  if (saga.standing === 'mine') saga.standing = 'released';
}

/** What has a time to wake by now got a signal since it was claimed. What has ended ended when its last event was stored. */
const RELEASE = `
  WITH released AS (
    UPDATE throughline.saga SET owner = NULL, wake_at = least(wake_at, to_timestamp($3::float8 / 1000.0)),
      ended_at = CASE WHEN $5::boolean AND wake_at IS NULL THEN
        coalesce(ended_at, (SELECT max(at) FROM throughline.saga_journal WHERE saga_id = $1)) ELSE ended_at END
    WHERE id = $1 AND owner = $2::uuid
  )
  UPDATE throughline.saga_signal SET taken_at = now() WHERE saga_id = $1 AND name = ANY($4::text[]) AND taken_at IS NULL`;

/** A saga that cannot be gone on with here, for a reason that is no failure of a step: it stays, and says why. */
export async function park(
  saga: ActiveSaga,
  { database, runner, logger }: DriverOptions,
  error: unknown,
): Promise<void> {
  saga.standing = 'released';
  const reason = storableText(`${errorType(error)}: ${errorMessage(error)}`, 1_000);
  count('throughline.sagas.parked', { [SAGA_NAME]: saga.definition.name, [ERROR_TYPE]: errorType(error) });
  logger?.error(
    { err: error, sagaId: saga.id, [SAGA_STEP]: saga.state.steps[saga.state.at]?.name },
    'saga parked',
  );
  await database.query(
    `UPDATE throughline.saga SET owner = NULL, wake_at = now() + interval '1 minute', parked = $3 WHERE id = $1 AND owner = $2::uuid`,
    [saga.id, runner(), reason],
  );
}
