import { createHook } from 'node:async_hooks';
import { context } from '@opentelemetry/api';
import { followWork } from './active-work.ts';
import { ProfilerMissingError } from './errors.ts';
import type { Frame, Profile, ProfileSample, ValueType } from './pprof.ts';
import { relativeFile } from './relative-file.ts';
import { createSpanRecorder, type EndedSpans, SpanWork } from './span-work.ts';

/** V8's profilers, by way of `@datadog/pprof`, which is imported here and nowhere else, and not before a profile is taken. */
type Native = typeof import('@datadog/pprof');
type NativeProfile = ReturnType<Native['time']['stop']>;

export interface ProfilerOptions {
  /** Sample what is allocated too. */
  readonly heap: boolean;
}

export interface RunningProfiler {
  /** Ends it. To be called once. */
  stop(): Profiled;
}

export interface Profiled {
  /** CPU time, with the names of the work that it went into. */
  readonly cpu: Profile;
  /** What was allocated meanwhile and is still there, by function. */
  readonly heap: Profile | undefined;
  readonly ended: readonly EndedSpans[];
}

/** 200 samples in a second of CPU. */
const CPU_INTERVAL_US = 5_000;
/** One sample for so much that is allocated, on average. */
const HEAP_INTERVAL_BYTES = 128 * 1024;
const HEAP_STACK_DEPTH = 64;

/** Errors: ProfilerMissingError. */
export async function startProfiler({ heap }: ProfilerOptions): Promise<RunningProfiler> {
  const native = await load();
  const offsetMs = unixOffsetMs();
  const recorder = createSpanRecorder(() => (offsetMs + performance.now()) * 1_000);
  if (heap) native.heap.start(HEAP_INTERVAL_BYTES, HEAP_STACK_DEPTH);
  let unfollow: () => void;
  try {
    unfollow = follow(native, recorder);
  } catch (error) {
    native.heap.stop(); // somebody else's profiler is running
    throw error;
  }
  return {
    stop() {
      followWork(undefined);
      const heapProfile = heap ? native.heap.profile() : undefined;
      if (heap) native.heap.stop();
      const cpu = native.time.stop(false, ({ context: hit }) =>
        hit?.context instanceof SpanWork ? { ...recorder.labelsAt(hit.context, Number(hit.timestamp)) } : {},
      );
      unfollow();
      return {
        cpu: fromNative(cpu),
        heap: heapProfile && withoutExternal(fromNative(heapProfile)),
        ended: recorder.counts(),
      };
    },
  };
}

async function load(): Promise<Native> {
  try {
    return (await import('@datadog/pprof')).default as unknown as Native;
  } catch (cause) {
    throw new ProfilerMissingError(cause);
  }
}

const CLOCK_READINGS = 100;

/**
 * From `performance.now()`, which nobody sets, to the Unix time that samples bear; right within half a millisecond. Of several
 * readings the largest is the one in which least time passed between the two clocks.
 */
function unixOffsetMs(): number {
  let offsetMs = Number.NEGATIVE_INFINITY;
  for (let reading = 0; reading < CLOCK_READINGS; reading++)
    offsetMs = Math.max(offsetMs, Date.now() - performance.now());
  return offsetMs + 0.5; // Date.now() leaves out what is less than a millisecond
}

const SETTINGS = { intervalMicros: CPU_INTERVAL_US, withContexts: true, collectCpuTime: true } as const;
const NOBODY = {};

type Recorder = ReturnType<typeof createSpanRecorder>;

/**
 * Node 24 carries a value along all that a piece of work starts (AsyncContextFrame), and the profiler reads it there. On
 * Node 22 it has to be told at each switch from one piece of work to another.
 *
 * Shape: a function that ends what was begun besides the profiler.
 */
function follow(native: Native, recorder: Recorder): () => void {
  native.time.start({ ...SETTINGS, useCPED: true });
  const probe = {};
  if (native.time.runWithContext(probe, () => native.time.getContext()) === probe) {
    followWork({ recorder, run: (whose, work) => native.time.runWithContext(whose ?? NOBODY, work) });
    return () => {};
  }
  native.time.stop();
  native.time.start(SETTINGS);
  return followSwitches(native, recorder);
}

function followSwitches({ time }: Native, recorder: Recorder): () => void {
  let current: object = NOBODY;
  const outer: object[] = [];
  const set = (whose: object) => {
    current = whose;
    time.setContext(whose);
  };
  const hook = createHook({
    before: () => {
      outer.push(current);
      set(recorder.workIn(context.active()) ?? NOBODY);
    },
    after: () => set(outer.pop() ?? NOBODY),
  }).enable();
  followWork({
    recorder,
    run(whose, work) {
      const before = current;
      set(whose ?? NOBODY);
      try {
        return work();
      } finally {
        if (time.isStarted()) set(before);
      }
    },
  });
  return () => void hook.disable();
}

/** Samples of equal stacks and labels become one. */
function fromNative(native: NativeProfile): Profile {
  const text = (place: number | bigint) => native.stringTable.strings[Number(place)] ?? '';
  const functions = new Map(native.function.map((one) => [Number(one.id), one]));
  const frames = new Map(
    native.location.map(({ id, line: [line] }) => {
      const one = functions.get(Number(line?.functionId));
      const frame = {
        name: text(one?.name ?? 0),
        file: relativeFile(text(one?.filename ?? 0)),
        line: Number(line?.line ?? 0),
      };
      return [Number(id), frame] as const;
    }),
  );
  const merged = new Map<string, ProfileSample & { values: number[] }>();
  for (const { locationId, value, label } of native.sample) {
    const key = `${locationId.join(' ')}|${label.map((one) => `${one.key}=${one.str}`).join(' ')}`;
    const values = value.map(Number);
    const before = merged.get(key);
    if (before) before.values = before.values.map((sum, index) => sum + (values[index] ?? 0));
    else
      merged.set(key, {
        stack: withoutRoot(locationId.flatMap((id) => frames.get(Number(id)) ?? [])),
        values,
        labels: Object.fromEntries(label.map((one) => [text(one.key), text(one.str)])),
      });
  }
  const typeOf = (one: { type: number | bigint; unit: number | bigint }): ValueType => ({
    type: text(one.type),
    unit: text(one.unit),
  });
  return {
    valueTypes: native.sampleType.map(typeOf),
    samples: [...merged.values()],
    comments: [],
    startedMs: Number(native.timeNanos) / 1_000_000,
    durationMs: Number(native.durationNanos) / 1_000_000,
    period: Number(native.period),
  };
}

/** The heap's samples have V8's own root as their outermost call, those of the CPU do not. */
function withoutRoot(stack: Frame[]): Frame[] {
  const last = stack.at(-1);
  const isRoot = last?.name === '(anonymous)' && last.file === '' && last.line === 0;
  return isRoot && stack.length > 1 ? stack.slice(0, -1) : stack;
}

/** What the whole process has outside V8's heap, since ever: nobody knows whose it is. */
function withoutExternal(profile: Profile): Profile {
  return { ...profile, samples: profile.samples.filter(({ stack }) => stack[0]?.name !== '(external)') };
}
