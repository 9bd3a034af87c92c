import type { Middleware } from '../delivery.ts';
import type { WorkerMetrics } from '../worker-metrics.ts';

/** The messaging conventions' consumer metrics, with the job and the outcome. */
export function metrics(own: WorkerMetrics): Middleware {
  return (next) => async (delivery, signal) => {
    const startedMs = performance.now();
    const outcome = await next(delivery, signal);
    own.handled(delivery.registration?.job.name, outcome, (performance.now() - startedMs) / 1_000);
    return outcome;
  };
}
