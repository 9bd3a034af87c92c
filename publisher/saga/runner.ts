import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from '../../shared/log.ts';
import type { Database } from '../../shared/storage/database.ts';

export interface RunnerOptions {
  readonly database: Database;
  readonly service: string;
  readonly leaseMs: number;
  readonly logger: Logger | undefined;
  /** Called when the lease ran out because it could not be renewed: other processes may take the sagas over. */
  readonly onLost: () => void;
}

/**
 * This process as a runner of sagas. One lease covers every saga that it owns.
 *
 * A runner whose lease ran out does not come back: it begins anew under another id, so that what it owned before is taken
 * over like any dead process's.
 */
export interface Runner {
  readonly id: () => string;
  /** Whether this process may still act for its sagas, by its own clock. */
  readonly isAlive: () => boolean;
  /** Errors: DatabaseUnavailableError. */
  readonly register: () => Promise<void>;
  /** Renews the lease when a third of it has passed. Errors: none. */
  readonly renew: () => Promise<void>;
  /**
   * Hands the sagas back and ends the lease. Those in `underWay` stay its own: what is under way for them may have its
   * effect yet, so they are taken over like a dead process's.
   */
  readonly resign: (underWay: readonly string[]) => Promise<void>;
  /** Gives up sagas in doubt, to be taken over like a dead process's, while this one lives on. */
  readonly disown: (sagaIds: readonly string[]) => Promise<void>;
}

export function createRunner({ database, service, leaseMs, logger, onLost }: RunnerOptions): Runner {
  let id = randomUUID();
  /** When the last successful renewal was begun, by the monotonic clock. */
  let renewedMs = Number.NEGATIVE_INFINITY;
  let renewing: Promise<void> | undefined;

  const extend = async () => {
    const startedMs = performance.now();
    await database.query(
      `INSERT INTO throughline.saga_runner (id, service, host, pid, lease_until)
       VALUES ($1, $2, $3, $4, now() + $5 * interval '1 millisecond')
       ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until`,
      [id, service, hostname(), process.pid, leaseMs],
    );
    renewedMs = startedMs;
  };

  const renewOrBeginAnew = async () => {
    const isLost = performance.now() - renewedMs > leaseMs;
    if (isLost) {
      onLost();
      id = randomUUID();
    }
    await extend().catch((error) => logger?.warn({ err: error }, 'the lease on sagas could not be renewed'));
  };

  return {
    id: () => id,
    isAlive: () => performance.now() - renewedMs < leaseMs,
    register: extend,
    renew: () => {
      if (performance.now() - renewedMs < leaseMs / 3) return Promise.resolve();
      renewing ??= renewOrBeginAnew().finally(() => {
        renewing = undefined;
      });
      return renewing;
    },
    resign: async (underWay) => {
      // The runner stays for a while, dead: a saga whose beginning is not committed yet may still name it as its owner.
      await database.query(
        `WITH released AS (
           UPDATE throughline.saga SET owner = NULL, wake_at = now()
           WHERE owner = $1 AND ended_at IS NULL AND NOT id = ANY($2::text[])
         )
         UPDATE throughline.saga_runner SET lease_until = now() WHERE id = $1`,
        [id, underWay],
      );
    },
    disown: async (sagaIds) => {
      await database.query(
        `WITH dead AS (
           INSERT INTO throughline.saga_runner (id, service, host, pid, lease_until)
           VALUES ($3, $4, $5, $6, now()) RETURNING id
         )
         UPDATE throughline.saga s SET owner = dead.id FROM dead WHERE s.id = ANY($2::text[]) AND s.owner = $1`,
        [id, sagaIds, randomUUID(), service, hostname(), process.pid],
      );
    },
  };
}
