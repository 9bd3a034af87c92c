import { profileComments } from './comments.ts';
import { ProfileUnderWayError } from './errors.ts';
import { encodeProfile, type Profile } from './pprof.ts';
import { startProfiler } from './profiler.ts';
import { shareHeap } from './share-heap.ts';

export type ProfileKind = 'cpu' | 'heap';

export interface TakeOptions {
  /** Every one of them is of the same time. */
  readonly kinds: readonly ProfileKind[];
  /** 0.1 to 300. */
  readonly seconds: number;
  readonly service: string;
  /** Of the service, for whoever compares. */
  readonly release?: string | undefined;
  /** Ends it before its time; what there is by then is the profile. */
  readonly signal?: AbortSignal;
  /** Called when it is being taken: not when it is refused. */
  readonly onStarted?: () => void;
}

/** A profile costs CPU for as long as it is taken. */
export const MAX_PROFILE_SECONDS = 300;
export const MIN_PROFILE_SECONDS = 0.1;

let isUnderWay = false;

/**
 * Takes a profile of this process, with the names of the spans, steps, sagas and jobs that its work was for.
 *
 * Shape:  the bytes of a pprof file (`.pb.gz`) for each kind.
 * Errors: ProfileUnderWayError, ProfilerMissingError.
 */
export async function takeProfiles(options: TakeOptions): Promise<Map<ProfileKind, Uint8Array>> {
  const { kinds, seconds, service, release, signal, onStarted } = options;
  if (isUnderWay) throw new ProfileUnderWayError();
  isUnderWay = true;
  try {
    const profiler = await startProfiler({ heap: kinds.includes('heap') });
    const startedMs = performance.now();
    onStarted?.();
    await ended(seconds * 1_000, signal);
    const durationMs = performance.now() - startedMs;
    const { cpu, heap, ended: spans } = profiler.stop();
    const files = new Map<ProfileKind, Uint8Array>();
    for (const kind of kinds) {
      const profile = kind === 'heap' && heap ? shareHeap(heap, cpu) : cpu;
      const comments = profileComments({ kind, service, release, node: process.version }, spans);
      files.set(kind, await encodeProfile({ ...profile, durationMs, comments } satisfies Profile));
    }
    return files;
  } finally {
    isUnderWay = false;
  }
}

function ended(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(finish, ms);
    function finish() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    }
    if (signal?.aborted) finish();
    else signal?.addEventListener('abort', finish, { once: true });
  });
}
