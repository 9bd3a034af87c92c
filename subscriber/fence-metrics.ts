import type { FenceAction } from '../shared/fence/fence.ts';
import { count } from '../shared/trace/meters.ts';
import { JOB_NAME } from '../shared/trace/semconv.ts';
import type { Delivery, Registration } from './delivery.ts';

/** Deliveries that were not run, or not to their end: by what the fence does, or because the fences were not known. */
const FENCED = 'throughline.fence.stopped';
type Stop = FenceAction | 'unknown';
const STOPS: readonly Stop[] = ['pause', 'cancel', 'unknown'];

export function countFenced({ registration }: Delivery, action: Stop): void {
  count(FENCED, { [JOB_NAME]: registration?.job.name ?? '', action });
}

/** Creates every series at 0, so that the first stop is seen as an increase. */
export function createFencedSeries(registrations: Iterable<Registration>): void {
  for (const { job } of registrations) {
    for (const action of STOPS) count(FENCED, { [JOB_NAME]: job.name, action }, 0);
  }
}
