import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import type { z } from 'zod';
import type { SagaResult } from '../../shared/job/saga-result.ts';
import type { Logger } from '../../shared/log.ts';
import { checkNumbers } from '../../shared/options.ts';
import type { Database, Transaction } from '../../shared/storage/database.ts';
import { GroupCommit } from '../../shared/storage/group-commit.ts';
import { reserveSpan } from '../../shared/trace/durable-span.ts';
import { count } from '../../shared/trace/meters.ts';
import { withOrderKey } from '../../shared/trace/order-key.ts';
import { SAGA_NAME } from '../../shared/trace/semconv.ts';
import { OUTBOX_CHANNEL } from '../outbox.ts';
import { type ActiveSaga, activate } from './active-saga.ts';
import { createClaims, dueAmong, type LoadedSaga, load, type SagaRow } from './claims.ts';
import type { Saga } from './define.ts';
import { checkpoint, type DriverOptions, drive, park } from './driver.ts';
import { EngineStoppingError, SagaInputError, SagaLostError, UnknownDefinitionError } from './errors.ts';
import { createJournal, type NewSaga } from './journal.ts';
import { jobSignal, nextCommand, type SagaOutcome } from './machine.ts';
import { createPauses } from './pauses.ts';
import { startPolling } from './polling.ts';
import { createRunner } from './runner.ts';
import { type SignalReceipt, sendSignal, storeSignal } from './signals.ts';
import { createStrays } from './strays.ts';
import { uuidV7 } from './uuid-v7.ts';
import { awaitEnd } from './view.ts';

/** Where engines listen for sagas that somebody wants to be looked at. */
export const SAGA_CHANNEL = 'throughline_saga';

export interface SagaEngineOptions {
  readonly database: Database;
  /** Every definition, and every version of one, that sagas under way may have. */
  readonly sagas: readonly Saga[];
  /** Shown to operators, and written as `ce-source` of jobs. */
  readonly service: string;
  /** Short name of the topic on which workers send back the results of job steps. */
  readonly resultTopic?: string;
  /** After this the sagas of a process that died are taken over, in ms. Default 15_000. */
  readonly leaseMs?: number;
  /** How often due and orphaned sagas are looked for, besides being notified, in ms. Default 1_000. */
  readonly pollMs?: number;
  /** Sagas that are run here at once; more wait in the database. Default 1_000. */
  readonly maxActive?: number;
  /** Grace between `stop()` and aborting running steps, in ms. Default 25_000. */
  readonly drainTimeoutMs?: number;
  readonly logger?: Logger | undefined;
  /** Called after a checkpoint with the sagas that it concerned, for live views. */
  readonly onChange?: (sagaIds: readonly string[]) => void;
}

export interface BeginOptions {
  /** Default: a time-ordered UUID. A saga that exists already is not begun again. */
  readonly sagaId?: string;
  readonly orderKey?: string;
  /** The saga begins if and only if this commits. */
  readonly tx?: Transaction;
  /**
   * The first step waits for this (at most two seconds): for the end of the request that begins the saga, say, so that
   * the request's span is on its way before anything is stored that it is the parent of.
   */
  readonly after?: Promise<unknown>;
}

export interface SagaEngine {
  /** Begins to run sagas: its own, due ones, and those of processes that died. May be called twice. */
  start(): Promise<void>;
  /** Lets steps finish within the grace time, hands every saga back. May be called twice. */
  stop(): Promise<void>;
  /**
   * Begins a saga; its span belongs to the active one. Resolves once it is stored.
   *
   * Errors: SagaInputError, UnknownDefinitionError, EngineStoppingError, DatabaseUnavailableError.
   */
  begin<Input extends z.ZodType, Results>(
    saga: Saga<Input, Results>,
    input: z.input<Input>,
    options?: BeginOptions,
  ): Promise<{ readonly sagaId: string; readonly isNew: boolean }>;
  /** Resolves when the saga has ended, in whichever process. Errors: SagaTimeoutError, UnknownSagaError. */
  ended(sagaId: string, options: { readonly timeoutMs: number }): Promise<SagaOutcome>;
  /**
   * Gives a suspended saga what it waits for, or will wait for.
   *
   * Errors: SagaInputError when the payload does not fit, UnknownSagaError, UnknownSignalError, UnknownDefinitionError.
   */
  signal(sagaId: string, name: string, payload: unknown): Promise<SignalReceipt>;
  /** Stores a worker's result in the transaction of whoever received it. */
  deliver(tx: Transaction, result: SagaResult): Promise<void>;
}

export function createSagaEngine(options: SagaEngineOptions): SagaEngine {
  checkNumbers('createSagaEngine', options, {
    leaseMs: { min: 100 },
    pollMs: { min: 10 },
    maxActive: { min: 1 },
    drainTimeoutMs: { min: 0 },
  });
  const { database, logger, pollMs = 1_000, leaseMs = 15_000, maxActive = 1_000 } = options;
  const definitions = new Map(options.sagas.map((saga) => [keyOf(saga), saga]));
  const active = new Map<string, ActiveSaga>();
  const pauses = createPauses();
  /** Who waits for a saga to leave this process. */
  const leaving = new Map<string, PromiseWithResolvers<void>>();
  let isStopping = false;
  let started: Promise<void> | undefined;
  let stopped: Promise<void> | undefined;
  let polling: { stop(): Promise<void> } | undefined;

  const runner = createRunner({
    database,
    service: options.service,
    leaseMs,
    logger,
    onLost: () => {
      if (active.size > 0)
        logger?.error({ sagas: active.size }, 'the lease ran out; other processes take the sagas over');
      for (const saga of active.values()) abandon(saga, new SagaLostError(saga.id));
      active.clear();
    },
  });
  const journal = createJournal({
    database,
    writer: runner.id,
    mayWrite: runner.isAlive,
    onStored: (checkpoints) => {
      if (checkpoints.some(({ jobs }) => jobs)) database.notify(OUTBOX_CHANNEL);
      options.onChange?.(checkpoints.map(({ start, append }) => start?.id ?? append?.saga_id ?? ''));
    },
  });
  const claims = createClaims(database, options.sagas, runner.id);
  const strays = createStrays({ mine: claims.mine, isInHand: (id) => active.has(id), disown: runner.disown });
  const driver: DriverOptions = {
    database,
    journal,
    service: options.service,
    resultTopic: options.resultTopic,
    logger,
    runner: runner.id,
    isStopping: () => isStopping,
    isAlive: runner.isAlive,
    disown: (sagaId) => runner.disown([sagaId]),
    pause: pauses.pause,
  };

  /** A saga's life here: nobody's span is active in it but its own. */
  const run = (saga: ActiveSaga, before?: () => Promise<void>) => {
    active.set(saga.id, saga);
    context.with(ROOT_CONTEXT, async () => {
      try {
        await before?.();
        await drive(saga, driver);
      } catch (error) {
        // Without a lease the saga is another process's; it is no saga that cannot be gone on with.
        if (!isStopping && saga.standing === 'mine' && runner.isAlive())
          await park(saga, driver, error).catch(() => {});
      }
      if (active.get(saga.id) === saga) active.delete(saga.id);
      leaving.get(saga.id)?.resolve();
      leaving.delete(saga.id);
      if (saga.standing === 'released') afterRelease(saga);
      if (isStopping && active.size === 0) pauses.end();
    });
  };

  /** The short way: a saga that is run here tells its end without a question to the database. */
  const endedHere = async (sagaId: string, timeoutMs: number): Promise<SagaOutcome | undefined> => {
    const saga = active.get(sagaId);
    if (!saga) return undefined;
    const left = leaving.get(sagaId) ?? Promise.withResolvers<void>();
    leaving.set(sagaId, left);
    const timer = setTimeout(left.resolve, timeoutMs);
    await left.promise;
    clearTimeout(timer);
    const command = nextCommand(saga.shape, saga.state);
    return saga.standing === 'released' && command.kind === 'end' ? command.outcome : undefined;
  };

  const recheck = new GroupCommit<string, void>({
    commit: async (ids) => {
      const found = await dueAmong(database, ids);
      if (found.length > 0) await wake(found);
      return ids.map(() => undefined);
    },
  });

  /** A signal may have come between the last look and the release: whoever released looks again. */
  const afterRelease = (saga: ActiveSaga) => {
    if (isStopping) return;
    const command = nextCommand(saga.shape, saga.state);
    if (command.kind === 'end' && !saga.shape.steps.some(({ kind }) => kind === 'job')) return;
    recheck
      .add(saga.id)
      .catch((error) => logger?.warn({ err: error, sagaId: saga.id }, 'looking for signals failed'));
    const dueMs =
      command.kind === 'await'
        ? command.waiting.deadlineMs
        : 'notBeforeMs' in command
          ? command.notBeforeMs
          : undefined;
    if (dueMs !== undefined && dueMs - Date.now() < MAX_LOCAL_TIMER_MS)
      setTimeout(() => void wake([saga.id]), dueMs - Date.now()).unref();
  };

  const claim = new GroupCommit<string, void>({
    commit: async (ids) => {
      await adopt(await claims.byId([...new Set(ids)]));
      return ids.map(() => undefined);
    },
  });

  /** Errors: none; polling finds them as well. */
  const wake = async (ids: readonly string[]): Promise<void> => {
    if (isStopping || !started || !runner.isAlive()) return;
    await Promise.all(ids.map((id) => claim.add(id))).catch((error) => {
      strays.suspect();
      logger?.warn({ err: error }, 'claiming a saga failed; it will be polled for');
    });
  };

  const adopt = async (rows: readonly SagaRow[]): Promise<void> => {
    for (const loaded of await load(database, rows)) adoptOne(loaded);
  };

  const adoptOne = (loaded: LoadedSaga): void => {
    const definition = definitions.get(keyOf(loaded));
    if (!definition) return;
    if (active.has(loaded.id)) {
      void runner.disown([loaded.id]).catch(strays.suspect); // it was let go of here, and is not gone yet
      return;
    }
    const { previous_owner: from, span, id } = loaded;
    let saga: ActiveSaga;
    try {
      saga = activate({
        id,
        definition,
        span,
        orderKey: loaded.order_key ?? undefined,
        input: definition.input.parse(loaded.input),
        rowState: loaded.state,
        checkpoints: loaded.checkpoints,
        pending: loaded.pending,
      });
    } catch (error) {
      const broken = {
        id,
        definition,
        standing: 'mine',
        state: { steps: [], at: 0 },
      } as unknown as ActiveSaga;
      void park(broken, driver, error).catch(() => {});
      return;
    }
    if (from === null) {
      run(saga);
      return;
    }
    count('throughline.sagas.taken_over', { [SAGA_NAME]: definition.name });
    logger?.warn({ sagaId: id, from }, 'taking over the saga of a process that died');
    const event = { kind: 'interrupted', cause: 'process-lost', runner: from, atMs: Date.now() } as const;
    run(saga, () => checkpoint(saga, driver, [event]));
  };

  const poll = async (): Promise<void> => {
    try {
      await look();
    } catch (error) {
      strays.suspect();
      throw error;
    }
  };

  const look = async (): Promise<void> => {
    await runner.renew();
    if (isStopping || !runner.isAlive()) return;
    await strays.giveUp();
    const room = maxActive - active.size;
    if (room > 0) await adopt(await claims.due(room));
    if (room > 0 && active.size < maxActive) await adopt(await claims.orphaned(maxActive - active.size));
    const parked = await claims.parkUnknown();
    if (parked > 0) logger?.error({ parked }, 'there are sagas that no running process knows');
    await claims.forgetRunners();
  };

  const begin: SagaEngine['begin'] = async (saga, input, beginOptions = {}) => {
    const definition = definitions.get(keyOf(saga));
    if (!definition) throw new UnknownDefinitionError(saga.name, saga.version);
    if (isStopping) throw new EngineStoppingError();
    const parsed = definition.input.safeParse(input);
    if (!parsed.success) throw new SagaInputError(`input of saga "${saga.name}"`, issuesOf(parsed.error));
    const { sagaId: id = uuidV7(), orderKey, tx, after } = beginOptions;
    const parent = orderKey === undefined ? context.active() : withOrderKey(context.active(), orderKey, id);
    const span = reserveSpan(`saga ${saga.name}`, { parent });
    const owner = started && runner.isAlive() && active.size < maxActive ? runner.id() : null;
    const row: NewSaga = {
      id,
      name: saga.name,
      version: saga.version,
      order_key: orderKey,
      input,
      owner,
      span,
      started_ms: span.startMs,
    };
    const live = () => {
      count('throughline.sagas.started', { [SAGA_NAME]: saga.name });
      if (owner === null) return database.notify(SAGA_CHANNEL);
      if (owner !== runner.id() || active.has(id)) return; // the lease ran out meanwhile
      const begun = activate({ id, definition, orderKey, input: parsed.data, span });
      run(begun, after && (() => Promise.race([after, pauses.pause(MAX_AFTER_MS)]).then(() => {})));
    };
    const isNew = tx ? await journal.writeIn(tx, { start: row }) : await journal.write({ start: row });
    if (isNew && tx) tx.afterCommit(live);
    else if (isNew) live();
    return { sagaId: id, isNew };
  };

  const start = async () => {
    await runner.register();
    // The lease is renewed by polling, and in time.
    polling = await startPolling({
      database,
      channel: SAGA_CHANNEL,
      pollMs: Math.min(pollMs, leaseMs / 3),
      poll,
      logger,
    });
  };

  const stop = async () => {
    isStopping = true;
    await polling?.stop();
    pauses.end();
    if (active.size > 0) await pauses.pause(options.drainTimeoutMs ?? 25_000);
    for (const saga of active.values()) saga.controller?.abort(new EngineStoppingError());
    if (active.size > 0) await pauses.pause(ABORT_GRACE_MS);
    await journal.drained();
    await runner
      .resign([...active.keys()])
      .catch((error) =>
        logger?.warn({ err: error }, 'sagas could not be handed back; their lease will run out'),
      );
  };

  return {
    start: () => (started ??= start()),
    stop: () => (stopped ??= started ? started.then(stop) : stop()),
    begin,
    async ended(sagaId, { timeoutMs }) {
      const outcome = await endedHere(sagaId, timeoutMs);
      return outcome ?? awaitEnd(database, sagaId, { timeoutMs, pollMs: Math.min(pollMs, 100) });
    },
    async signal(sagaId, name, payload) {
      const receipt = await sendSignal({ database, definitions: options.sagas, sagaId, name, payload });
      if (receipt === 'accepted') await wake([sagaId]);
      return receipt;
    },
    async deliver(tx, result) {
      await storeSignal(tx, { sagaId: result.sagaId, name: jobSignal(result.jobId), payload: result });
      tx.afterCommit(() => void wake([result.sagaId]));
    },
  };
}

const MAX_LOCAL_TIMER_MS = 3_600_000;
const ABORT_GRACE_MS = 2_000;
const MAX_AFTER_MS = 2_000;

function keyOf({ name, version }: { readonly name: string; readonly version: number }): string {
  return `${name}/${version}`;
}

function abandon(saga: ActiveSaga, reason: Error): void {
  saga.standing = 'lost';
  saga.controller?.abort(reason);
}

function issuesOf(error: z.ZodError): string[] {
  return error.issues.map(({ path, message }) => `${path.join('.') || '(input)'}: ${message}`);
}
