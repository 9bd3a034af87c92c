import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import type { z } from 'zod';
import type { SagaResult } from '../../shared/job/saga-result.ts';
import type { Logger } from '../../shared/log.ts';
import { MAX_TIMER_MS } from '../../shared/max-timer.ts';
import { checkNumbers } from '../../shared/options.ts';
import type { Database, Transaction } from '../../shared/storage/database.ts';
import { startPolling } from '../../shared/storage/polling.ts';
import { reserveSpan } from '../../shared/trace/durable-span.ts';
import { light } from '../../shared/trace/light-context.ts';
import { withOrderKey } from '../../shared/trace/order-key.ts';
import { OUTBOX_CHANNEL } from '../outbox.ts';
import { type ActiveSaga, activate } from './active-saga.ts';
import { createClaims } from './claims.ts';
import type { Saga } from './define.ts';
import { type DriverOptions, drive, park } from './driver.ts';
import { EngineStoppingError, SagaInputError, SagaLostError, UnknownDefinitionError } from './errors.ts';
import { createIntake } from './intake.ts';
import { createJournal, type NewSaga } from './journal.ts';
import { createLeavings } from './leavings.ts';
import { jobSignal, nextCommand, type SagaOutcome } from './machine.ts';
import { storeOutlines } from './outline.ts';
import { createPauses } from './pauses.ts';
import { createRunner } from './runner.ts';
import { countStarted, createSagaSeries } from './saga-metrics.ts';
import { type SignalReceipt, sendSignal, storeSignal } from './signals.ts';
import { createStrays } from './strays.ts';
import { uuidV7 } from './uuid-v7.ts';
import { awaitEnd, SagaTimeoutError } from './view.ts';

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
   * Gives a suspended saga what it waits for, or will wait for. The active span is linked to the saga; `onLinked` is called
   * when that is so.
   *
   * Errors: SagaInputError when the payload does not fit, UnknownSagaError, UnknownSignalError, UnknownDefinitionError.
   */
  signal(
    sagaId: string,
    name: string,
    payload: unknown,
    options?: { readonly onLinked?: () => void },
  ): Promise<SignalReceipt>;
  /** Stores a worker's result in the transaction of whoever received it. */
  deliver(tx: Transaction, result: SagaResult): Promise<void>;
}

export function createSagaEngine(options: SagaEngineOptions): SagaEngine {
  checkNumbers('createSagaEngine', options, {
    leaseMs: { min: 100, max: MAX_TIMER_MS },
    pollMs: { min: 10, max: MAX_TIMER_MS },
    maxActive: { min: 1 },
    drainTimeoutMs: { min: 0, max: MAX_TIMER_MS },
  });
  const { database, logger, pollMs = 1_000, leaseMs = 15_000, maxActive = 1_000 } = options;
  const definitions = new Map(options.sagas.map((saga) => [keyOf(saga), saga]));
  const active = new Map<string, ActiveSaga>();
  /** Being begun or claimed here, and not active yet. */
  const arriving = new Set<string>();
  const pauses = createPauses();
  const leavings = createLeavings();
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
      const lost = [...active.values()];
      active.clear();
      for (const saga of lost) {
        abandon(saga, new SagaLostError(saga.id));
        leavings.tell(saga.id);
      }
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
  const strays = createStrays({
    mine: claims.mine,
    isInHand: (id) => active.has(id) || arriving.has(id),
    disown: runner.disown,
    everyMs: leaseMs,
    apartMs: pollMs,
  });
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
          await park(saga, driver, error).catch(strays.suspect);
        else strays.suspect();
      }
      if (active.get(saga.id) === saga) active.delete(saga.id);
      leavings.tell(saga.id);
      if (saga.standing === 'released') intake.released(saga);
      if (isStopping && active.size === 0) pauses.end();
    });
  };

  const intake = createIntake({
    database,
    claims,
    strays,
    runner,
    driver,
    logger,
    definitionOf: (saga) => definitions.get(keyOf(saga)),
    active,
    arriving,
    maxActive,
    isOpen: () => started !== undefined && !isStopping,
    run,
  });

  const begin: SagaEngine['begin'] = async (saga, input, beginOptions = {}) => {
    const definition = definitions.get(keyOf(saga));
    if (!definition) throw new UnknownDefinitionError(saga.name, saga.version);
    if (isStopping) throw new EngineStoppingError();
    const parsed = definition.input.safeParse(input);
    if (!parsed.success) throw new SagaInputError(`input of saga "${saga.name}"`, issuesOf(parsed.error));
    const { sagaId: id = uuidV7(), orderKey, tx, after } = beginOptions;
    const parent =
      orderKey === undefined ? context.active() : withOrderKey(light(context.active()), orderKey, id);
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
      countStarted(definition);
      if (owner === null) return database.notify(SAGA_CHANNEL);
      // Not when it is another's: the lease ran out meanwhile, or the answer to the commit came very late.
      if (owner !== runner.id() || active.has(id) || strays.hasGivenUp(id)) return;
      const begun = activate({ id, definition, orderKey, input: parsed.data, span });
      run(begun, after && (() => Promise.race([after, pauses.pause(MAX_AFTER_MS)]).then(() => {})));
    };
    if (tx) {
      const isNew = await journal.writeIn(tx, { start: row });
      if (isNew) tx.afterCommit(live);
      return { sagaId: id, isNew };
    }
    arriving.add(id);
    try {
      const isNew = await journal.write({ start: row });
      if (isNew) live();
      return { sagaId: id, isNew };
    } finally {
      arriving.delete(id);
    }
  };

  const ended: SagaEngine['ended'] = async (sagaId, { timeoutMs }) => {
    const givesUpAtMs = performance.now() + timeoutMs;
    const saga = active.get(sagaId);
    if (saga) {
      // The short way: a saga that is run here tells its end without a question to the database.
      if (!(await leavings.left(sagaId, timeoutMs)))
        throw new SagaTimeoutError(sagaId, timeoutMs, saga.rowState);
      const command = nextCommand(saga.shape, saga.state);
      if (saga.standing === 'released' && command.kind === 'end') return command.outcome;
    }
    const leftMs = Math.max(0, Math.round(givesUpAtMs - performance.now()));
    return awaitEnd(database, sagaId, { timeoutMs: leftMs, pollMs: Math.min(pollMs, 100) });
  };

  const start = async () => {
    createSagaSeries(options.sagas);
    await runner.register();
    await storeOutlines(database, options.sagas);
    polling = await startPolling({
      ...{ database, channel: SAGA_CHANNEL, pollMs, logger },
      ...{ poll: intake.look, what: 'looking for sagas' },
    });
  };

  /** The lease is kept to the end: until then nobody else may run what is under way here. */
  const stop = async () => {
    isStopping = true;
    await Promise.all([polling?.stop(), intake.close()]);
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
    ended,
    async signal(sagaId, name, payload, { onLinked } = {}) {
      const receipt = await sendSignal({
        database,
        definitions: options.sagas,
        sagaId,
        name,
        payload,
        onLinked,
      });
      if (receipt === 'accepted') await intake.wake([sagaId]);
      return receipt;
    },
    async deliver(tx, result) {
      const { sagaId, jobId, outcome } = result;
      const supersedesFailure = outcome === 'done';
      await storeSignal(tx, { sagaId, name: jobSignal(jobId), payload: result, supersedesFailure });
      tx.afterCommit(() => void intake.wake([result.sagaId]));
    },
  };
}

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
