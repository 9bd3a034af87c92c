import { type Context, trace } from '@opentelemetry/api';
import { JOB_NAME, SAGA_NAME, SAGA_STEP } from '../trace/semconv.ts';

/** A span as the SDK records it. */
interface RecordedSpan {
  readonly name: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly ended: boolean;
}

/** What a sample says of the work that it hit. Names only: never an order key, and never an id. */
export interface WorkLabels {
  /** The active span's name. */
  readonly span?: string;
  /** Of the nearest span around the work that has one. A compensation is `compensate STEP`. */
  readonly step?: string;
  readonly saga?: string;
  readonly job?: string;
}

/** How many spans of a kind ended while a profile was taken. */
export interface EndedSpans extends WorkLabels {
  readonly ended: number;
}

/** A span's work while a profile is taken: what the profiler remembers with each sample. */
export class SpanWork {
  readonly parent: SpanWork | undefined;
  readonly span: RecordedSpan;
  endedUs = Number.POSITIVE_INFINITY;
  #labels: WorkLabels | undefined;

  constructor(span: RecordedSpan, parent: SpanWork | undefined) {
    this.span = span;
    this.parent = parent;
  }

  /** The same object each time, once the span has ended: until then it may still be renamed. */
  labels(): WorkLabels {
    const labels = this.#labels ?? this.#read();
    if (this.endedUs !== Number.POSITIVE_INFINITY) this.#labels = labels;
    return labels;
  }

  #read(): WorkLabels {
    const { name, attributes } = this.span;
    const step = attributes[SAGA_STEP];
    const own = {
      span: clipped(name),
      ...(typeof step === 'string' && {
        step: clipped(name.startsWith('compensate ') ? `compensate ${step}` : step),
      }),
      ...named('saga', attributes[SAGA_NAME]),
      ...named('job', attributes[JOB_NAME]),
    };
    return { ...this.parent?.labels(), ...own };
  }
}

function named(label: string, value: unknown): Record<string, string> {
  return typeof value === 'string' && value !== '' ? { [label]: clipped(value) } : {};
}

const MAX_NAME = 200;

function clipped(name: string): string {
  return name.length <= MAX_NAME ? name : `${name.slice(0, MAX_NAME)}…`;
}

/** Names that somebody makes of ids would fill a profile; beyond so many kinds of spans there is one more for all the rest. */
const MAX_KINDS = 1_000;
const OTHER: WorkLabels = { span: '(other spans)' };

/** Follows the spans of this process for as long as a profile is taken. */
export interface SpanRecorder {
  started(span: object, parent: Context): void;
  ended(span: object): void;
  /** The work that is done in a context; undefined when that is none of a span of this process. */
  workIn(context: Context): SpanWork | undefined;
  /** Whose work it was at that time: after a span's end that of the nearest span around it that was still open. */
  labelsAt(work: SpanWork, atUs: number): WorkLabels;
  counts(): EndedSpans[];
}

/** `nowUs`: the clock of the profiler's samples. */
export function createSpanRecorder(nowUs: () => number): SpanRecorder {
  const kinds = new Map<string, { labels: WorkLabels; ended: number }>();
  const attach = (span: Worked, parent: SpanWork | undefined) => {
    const work = new SpanWork(span, parent);
    span[WORK] = { recorder, work };
    return work;
  };
  const workOf = (span: object | undefined): SpanWork | undefined => {
    if (!isRecorded(span)) return undefined;
    const known = span[WORK];
    if (known?.recorder === recorder) return known.work;
    // One that was there before the profile: what is around it is not known.
    const work = attach(span, undefined);
    if (span.ended) work.endedUs = Number.NEGATIVE_INFINITY;
    return work;
  };
  const kindOf = (labels: WorkLabels) => {
    const key = keyOf(labels);
    let kind = kinds.get(key);
    if (!kind) {
      if (kinds.size >= MAX_KINDS) return kinds.get(keyOf(OTHER)) ?? added(keyOf(OTHER), OTHER);
      kind = added(key, labels);
    }
    return kind;
  };
  const added = (key: string, labels: WorkLabels) => {
    const kind = { labels, ended: 0 };
    kinds.set(key, kind);
    return kind;
  };
  const recorder: SpanRecorder = {
    started(span, parent) {
      if (isRecorded(span)) attach(span, workOf(trace.getSpan(parent)));
    },
    ended(span) {
      const work = workOf(span);
      if (!work) return;
      work.endedUs = nowUs();
      kindOf(work.labels()).ended += 1;
    },
    workIn: (context) => workOf(trace.getSpan(context)),
    labelsAt(work, atUs) {
      for (let at: SpanWork | undefined = work; at; at = at.parent)
        if (atUs <= at.endedUs) return kindOf(at.labels()).labels;
      return {};
    },
    counts: () =>
      [...kinds.values()].filter(({ ended }) => ended > 0).map(({ labels, ended }) => ({ ...labels, ended })),
  };
  return recorder;
}

/** On the span itself: with a WeakMap a span cost half as much again, for all of its keys die young. */
const WORK = Symbol('throughline profiled work');
interface Worked extends RecordedSpan {
  [WORK]?: { readonly recorder: SpanRecorder; readonly work: SpanWork };
}

function isRecorded(span: object | undefined): span is Worked {
  const { name, attributes } = (span ?? {}) as Partial<RecordedSpan>;
  return typeof name === 'string' && typeof attributes === 'object';
}

function keyOf({ span = '', step = '', saga = '', job = '' }: WorkLabels): string {
  return [span, step, saga, job].join('\n');
}
