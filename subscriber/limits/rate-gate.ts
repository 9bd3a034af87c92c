import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import type { Logger } from '../../shared/log.ts';
import { createSharedRate } from '../../shared/rate/shared-rate.ts';
import type { Database } from '../../shared/storage/database.ts';
import { Invited } from './invited.ts';
import type { RateLimit } from './limit.ts';
import { type WaitingDelivery, WaitingLine } from './waiting-line.ts';

/** Lets so many jobs begin in a second. */
export interface RateGate {
  readonly waiting: number;
  /** Takes a job's turn; false: it is not there yet. Errors: those of `SharedRate.take`. */
  enter(jobId: string): Promise<boolean>;
  /** For a job that does not begin after all. */
  giveBack(): void;
  /** Calls the delivery back when it is its turn. */
  wait(delivery: WaitingDelivery): void;
  /** Goes on after an error. */
  trigger(): void;
  stop(): Promise<void>;
}

/** So long a delivery waits for its turn in its worker, before it is handed back, in ms: a chunk of the rate takes less. */
const IN_PLACE_MS = 100;
/** So long a turn is kept for a delivery that was called back, in ms. It may have gone to another worker. */
const INVITED_MS = 1_000;

export function createRateGate(database: Database, limit: RateLimit, logger: Logger | undefined): RateGate {
  const { name, perSecond, burst } = limit;
  const rate = createSharedRate({ database, name: `limit/${name}`, perSecond, ...(burst && { burst }) });
  const line = new WaitingLine();
  const invited = new Invited(INVITED_MS, () => rate.giveBack());
  let isStopped = false;
  let calling: Promise<void> | undefined;

  const callBack = async () => {
    while (line.size > 0 && !isStopped) {
      await rate.take();
      const [next] = line.first(1);
      if (!next) return rate.giveBack();
      line.remove(next);
      invited.add(next.jobId);
      next.resume();
    }
  };
  const trigger = () => {
    if (isStopped || line.size === 0) return;
    calling ??= context
      .with(ROOT_CONTEXT, callBack)
      .catch((error) => isStopped || logger?.warn({ err: error, limit: name }, 'a rate could not be read'))
      .then(() => {
        calling = undefined;
      });
  };
  return {
    get waiting() {
      return line.size;
    },
    async enter(jobId) {
      if (invited.remove(jobId)) return true;
      if (line.size > 0) return false; // it goes behind those that wait
      if (rate.tryTake()) return true;
      const signal = AbortSignal.timeout(IN_PLACE_MS);
      try {
        await rate.take(1, { signal });
        return true;
      } catch (error) {
        if (error !== signal.reason) throw error;
        return false;
      }
    },
    giveBack: () => rate.giveBack(),
    wait(delivery) {
      line.add(delivery);
      setImmediate(trigger); // not before the delivery was handed back
    },
    trigger,
    async stop() {
      isStopped = true;
      for (const delivery of line.first(line.size)) delivery.resume();
      invited.clear();
      await rate.close();
      await calling;
    },
  };
}
