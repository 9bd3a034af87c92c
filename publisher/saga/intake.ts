import type { Logger } from '../../shared/log.ts';
import type { Database } from '../../shared/storage/database.ts';
import { GroupCommit } from '../../shared/storage/group-commit.ts';
import { count } from '../../shared/trace/meters.ts';
import { SAGA_NAME } from '../../shared/trace/semconv.ts';
import { type ActiveSaga, activate } from './active-saga.ts';
import { createAlarms } from './alarms.ts';
import { type Claims, dueAmong, type LoadedSaga, load, type SagaRow } from './claims.ts';
import type { Saga } from './define.ts';
import { checkpoint, type DriverOptions, park } from './driver.ts';
import { nextCommand } from './machine.ts';
import type { Runner } from './runner.ts';
import type { Strays } from './strays.ts';

export interface IntakeOptions {
  readonly database: Database;
  readonly claims: Claims;
  readonly strays: Strays;
  readonly runner: Runner;
  readonly driver: DriverOptions;
  readonly logger: Logger | undefined;
  readonly definitionOf: (saga: Pick<Saga, 'name' | 'version'>) => Saga | undefined;
  /** Sagas that are run here; `run` adds to them. */
  readonly active: ReadonlyMap<string, ActiveSaga>;
  /** Sagas that are on their way there. */
  readonly arriving: Set<string>;
  readonly maxActive: number;
  /** Whether sagas are taken at all: the engine has started, and does not stop. */
  readonly isOpen: () => boolean;
  readonly run: (saga: ActiveSaga, before?: () => Promise<void>) => void;
}

/** Which sagas come to be run here, besides those that begin here. */
export interface Intake {
  /** Takes sagas for which something came, if nobody has them and there is room. Errors: none; polling finds them as well. */
  wake(sagaIds: readonly string[]): Promise<void>;
  /** Takes what is due, and what processes that died have left. Errors: DatabaseUnavailableError. */
  look(): Promise<void>;
  /** The saga was let go of here; it is taken again when something comes, or its time. */
  released(saga: ActiveSaga): void;
  /** Once it is not open any more: resolves when nothing is being claimed. */
  close(): Promise<void>;
}

export function createIntake(options: IntakeOptions): Intake {
  const { database, claims, strays, runner, driver, logger, active, arriving, maxActive, isOpen } = options;
  const alarms = createAlarms((sagaId) => void wake([sagaId]));

  /** To be asked right before each claim: what is claimed under a lease that ran out would be nobody's. */
  const room = () => (isOpen() && runner.isAlive() ? Math.max(0, maxActive - active.size) : 0);

  const adopt = async (claiming: Promise<readonly SagaRow[]>): Promise<void> => {
    const claimant = runner.id();
    const loaded = await load(database, await claiming);
    if (runner.id() !== claimant) return; // the lease ran out meanwhile: they are taken over
    for (const one of loaded) adoptOne(one);
  };

  const adoptOne = (loaded: LoadedSaga): void => {
    const { previous_owner: from, id } = loaded;
    alarms.clear(id);
    const definition = options.definitionOf(loaded);
    if (!definition) return;
    if (active.has(id)) {
      void runner.disown([id]).catch(strays.suspect); // it was let go of here, and is not gone yet
      return;
    }
    let saga: ActiveSaga;
    try {
      saga = activated(loaded, definition);
    } catch (error) {
      void park(unreadable(id, definition), driver, error).catch(strays.suspect);
      return;
    }
    if (from === null) {
      options.run(saga);
      return;
    }
    count('throughline.sagas.taken_over', { [SAGA_NAME]: definition.name });
    logger?.warn({ sagaId: id, from }, 'taking over the saga of a process that died');
    const event = { kind: 'interrupted', cause: 'process-lost', runner: from, atMs: Date.now() } as const;
    options.run(saga, () => checkpoint(saga, driver, [event]));
  };

  const claim = new GroupCommit<string, void>({
    commit: async (ids) => {
      // What there is no room for is due by its row, and polled for.
      const wanted = [...new Set(ids)].slice(0, room());
      for (const id of wanted) arriving.add(id);
      try {
        if (wanted.length > 0) await adopt(claims.byId(wanted));
      } finally {
        for (const id of wanted) arriving.delete(id);
      }
      return ids.map(() => undefined);
    },
  });

  const wake = async (ids: readonly string[]): Promise<void> => {
    if (room() === 0) return;
    await Promise.all(ids.map((id) => claim.add(id))).catch((error) => {
      strays.suspect();
      logger?.warn({ err: error }, 'claiming a saga failed; it will be polled for');
    });
  };

  const recheck = new GroupCommit<string, void>({
    commit: async (ids) => {
      const found = await dueAmong(database, ids);
      if (found.length > 0) await wake(found);
      return ids.map(() => undefined);
    },
  });

  const look = async (): Promise<void> => {
    if (!isOpen() || !runner.isAlive()) return;
    await strays.giveUp();
    if (room() > 0) await adopt(claims.due(room()));
    if (room() > 0) await adopt(claims.orphaned(room()));
    const parked = await claims.parkUnknown();
    if (parked > 0) logger?.error({ parked }, 'there are sagas that no running process knows');
    await claims.forgetRunners();
  };

  return {
    wake,
    async look() {
      try {
        await look();
      } catch (error) {
        strays.suspect();
        throw error;
      }
    },
    released(saga) {
      if (!isOpen()) return;
      const { id } = saga;
      const command = nextCommand(saga.shape, saga.state);
      if (command.kind === 'end' && !saga.shape.steps.some(({ kind }) => kind === 'job')) return;
      // A signal may have come between the last look and the release.
      recheck
        .add(id)
        .catch((error) => logger?.warn({ err: error, sagaId: id }, 'looking for signals failed'));
      const dueMs = 'notBeforeMs' in command ? command.notBeforeMs : undefined;
      if (command.kind === 'await') alarms.set(id, command.waiting.deadlineMs);
      else if (dueMs !== undefined) alarms.set(id, dueMs);
    },
    async close() {
      alarms.clearAll();
      await claim.drained();
    },
  };
}

/** Errors: what the schema of its input throws; SagaJournalError. */
function activated(
  { id, order_key, span, state, checkpoints, pending, input }: LoadedSaga,
  definition: Saga,
) {
  return activate({
    id,
    definition,
    span,
    orderKey: order_key ?? undefined,
    input: definition.input.parse(input),
    rowState: state,
    checkpoints,
    pending,
  });
}

/** As much of a saga as it takes to park it. */
function unreadable(id: string, definition: Saga): ActiveSaga {
  return { id, definition, standing: 'mine', state: { steps: [], at: 0 } } as unknown as ActiveSaga;
}
