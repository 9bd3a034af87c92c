import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { context, ROOT_CONTEXT } from '@opentelemetry/api';
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
 * L1. From registering to resigning the lease is renewed by a timer of its own, whatever else the process waits for.
 * L2. The lease is lost when it runs out, not when a renewal says so: that may wait for an answer that never comes.
 * L3. A runner whose lease ran out does not come back: it begins anew under another id, so that what it owned before is
 *     taken over like any dead process's.
 */
export interface Runner {
  readonly id: () => string;
  /** Whether this process may still act for its sagas, by its own clock. */
  readonly isAlive: () => boolean;
  /** Takes the lease, and keeps it (L1). Errors: DatabaseUnavailableError. */
  readonly register: () => Promise<void>;
  /**
   * Hands the sagas back and ends the lease. Those in `underWay` stay its own: what is under way for them may have its
   * effect yet, so they are taken over like a dead process's.
   */
  readonly resign: (underWay: readonly string[]) => Promise<void>;
  /** Gives up sagas in doubt, to be taken over like a dead process's, while this one lives on. */
  readonly disown: (sagaIds: readonly string[]) => Promise<void>;
}

interface Lease {
  readonly id: string;
  /** When the last successful renewal was begun, by the monotonic clock. */
  renewedMs: number;
  renewing: Promise<void> | undefined;
}

function newLease(): Lease {
  return { id: randomUUID(), renewedMs: Number.NEGATIVE_INFINITY, renewing: undefined };
}

export function createRunner({ database, service, leaseMs, logger, onLost }: RunnerOptions): Runner {
  let lease = newLease();
  let heartbeat: NodeJS.Timeout | undefined;
  let watchdog: NodeJS.Timeout | undefined;

  const extend = async (one: Lease) => {
    const startedMs = performance.now();
    await database.query(
      `INSERT INTO throughline.saga_runner (id, service, host, pid, lease_until)
       VALUES ($1, $2, $3, $4, now() + $5 * interval '1 millisecond')
       ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until`,
      [one.id, service, hostname(), process.pid, leaseMs],
    );
    if (one !== lease) return; // L3
    one.renewedMs = startedMs;
    clearTimeout(watchdog);
    watchdog = setTimeout(lose, Math.max(0, startedMs + leaseMs - performance.now())).unref();
  };

  /** When a third of the lease has passed. Errors: none. */
  const renew = () => {
    const one = lease;
    if (performance.now() - one.renewedMs < leaseMs / 3) return;
    one.renewing ??= extend(one)
      .catch((error) => logger?.warn({ err: error }, 'the lease on sagas could not be renewed'))
      .finally(() => {
        one.renewing = undefined;
      });
  };

  /** L2, L3. */
  const lose = () => {
    lease = newLease();
    onLost();
    renew();
  };

  return {
    id: () => lease.id,
    isAlive: () => performance.now() - lease.renewedMs < leaseMs,
    register: () =>
      context.with(ROOT_CONTEXT, async () => {
        await extend(lease);
        heartbeat = setInterval(renew, leaseMs / 10).unref();
      }),
    resign: async (underWay) => {
      clearInterval(heartbeat);
      while (lease.renewing) await lease.renewing; // it must not outlast the end of the lease
      clearTimeout(watchdog);
      // The runner stays for a while, dead: a saga whose beginning is not committed yet may still name it as its owner.
      await database.query(
        `WITH released AS (
           UPDATE throughline.saga SET owner = NULL, wake_at = now()
           WHERE owner = $1 AND ended_at IS NULL AND NOT id = ANY($2::text[])
         )
         UPDATE throughline.saga_runner SET lease_until = now() WHERE id = $1`,
        [lease.id, underWay],
      );
    },
    disown: async (sagaIds) => {
      await database.query(
        `WITH dead AS (
           INSERT INTO throughline.saga_runner (id, service, host, pid, lease_until)
           VALUES ($3, $4, $5, $6, now()) RETURNING id
         )
         UPDATE throughline.saga s SET owner = dead.id FROM dead WHERE s.id = ANY($2::text[]) AND s.owner = $1`,
        [lease.id, sagaIds, randomUUID(), service, hostname(), process.pid],
      );
    },
  };
}
