import type { ActiveSaga } from './active-saga.ts';

/**
 * How long a saga waited for signals, in ms: for a customer, whose time is not ours.
 *
 * What it waited for a worker is not in it, the time in which the job lay in a queue included.
 */
export function signalWaitMs({ history, shape }: ActiveSaga): number {
  const jobs = new Set(shape.steps.flatMap(({ name, kind }) => (kind === 'job' ? name : [])));
  return history.reduce((sum, event) => {
    const isStep = event.kind === 'completed' || event.kind === 'failed';
    return isStep && !jobs.has(event.step) ? sum + (event.waitMs ?? 0) : sum;
  }, 0);
}
