import type { Context } from '@opentelemetry/api';
import type { SpanRecorder, SpanWork } from './span-work.ts';

/** What tells the profiler whose work is being done, for as long as a profile is taken. */
export interface WorkFollower {
  readonly recorder: SpanRecorder;
  /** Runs `work` so that samples in it, and in what it starts, are remembered with `whose`. */
  run<T>(whose: SpanWork | undefined, work: () => T): T;
}

let follower: WorkFollower | undefined;

/** Undefined: no profile is being taken. */
export function followWork(next: WorkFollower | undefined): void {
  follower = next;
}

/** To be told each span's start and end. Costs a comparison unless a profile is taken. */
export const spanFollower = {
  onStart(span: object, parent: Context): void {
    follower?.recorder.started(span, parent);
  },
  onEnd(span: object): void {
    follower?.recorder.ended(span);
  },
};

/** To be asked wherever a context becomes the active one. Undefined: no profile is being taken. */
export function activeFollower(): WorkFollower | undefined {
  return follower;
}
