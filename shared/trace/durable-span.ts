import {
  type Attributes,
  type Context,
  context,
  createContextKey,
  type Link,
  type Span,
  SpanKind,
  type SpanStatus,
  TraceFlags,
  type TraceState,
  trace,
} from '@opentelemetry/api';
import { z } from 'zod';
import { type Carrier, captureCarrier, carrierSchema, restoreCarrier, spanContextOf } from './carrier.ts';
import { startWithIds } from './span-ids.ts';
import { tracer } from './tracer.ts';

/**
 * Spans that outlive a process: reserved first, emitted once, later, by whoever ends them.
 *
 * Nothing is held open meanwhile. A reservation is plain data; store it as JSON beside the work it describes.
 * D1. The reserved ids, sampling decision and tracestate are the emitted span's.
 * D2. Emitting twice yields two spans with one id: whoever stores the reservation sees to it that it happens once.
 */
export interface ReservedSpan {
  readonly name: string;
  readonly kind: SpanKind;
  /** Milliseconds since the Unix epoch. */
  readonly startMs: number;
  /** The reserved span itself: children are started under it, links point to it. */
  readonly self: Carrier;
  /** The span's parent; empty for a root. */
  readonly parent: Carrier;
}

export const reservedSpanSchema: z.ZodType<ReservedSpan> = z.object({
  name: z.string(),
  kind: z.enum(SpanKind),
  startMs: z.number(),
  self: carrierSchema,
  parent: carrierSchema,
});

export interface ReserveOptions {
  readonly kind?: SpanKind;
  /** Default: the active context. Its baggage goes with the reservation. */
  readonly parent?: Context;
  /** Default: now. */
  readonly startMs?: number;
  /** For the sampler only; the span's attributes are given when it is emitted. */
  readonly attributes?: Attributes;
}

export interface EmitOptions {
  /** Without its parent, in the same trace: for a span whose parent's process died, which is then linked instead. */
  readonly asRoot?: boolean;
  /** Overrides the decision that was reserved (D1): a failure is told although its trace was not sampled. */
  readonly sampled?: boolean;
  /** Default: now. */
  readonly endMs?: number;
  readonly attributes?: Attributes;
  readonly links?: Link[];
  readonly status?: SpanStatus;
  readonly events?: readonly {
    readonly name: string;
    readonly timeMs: number;
    readonly attributes?: Attributes;
  }[];
}

/** Set while a span is reserved, and while a reserved one is emitted; the sampler in telemetry.ts reads it. */
const RESERVATION = createContextKey('throughline reservation');
export interface Reservation {
  /** The sampler writes its decision here when reserving, and repeats it when emitting (D1). */
  sampled: boolean | undefined;
  readonly traceState?: TraceState | undefined;
  readonly phase: 'reserve' | 'emit';
}

export function reservationIn(from: Context): Reservation | undefined {
  return from.getValue(RESERVATION) as Reservation | undefined;
}

/** Chooses a span's ids and sampling now, for a span that is emitted later. */
export function reserveSpan(name: string, options: ReserveOptions = {}): ReservedSpan {
  const parent = options.parent ?? context.active();
  const kind = options.kind ?? SpanKind.INTERNAL;
  const reservation: Reservation = { sampled: undefined, phase: 'reserve' };
  const probe = tracer().startSpan(
    name,
    { kind, attributes: options.attributes ?? {} },
    parent.setValue(RESERVATION, reservation),
  );
  const spanContext = probe.spanContext();
  const sampled = reservation.sampled ?? (spanContext.traceFlags & TraceFlags.SAMPLED) !== 0;
  const traceFlags = sampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  const self = trace.setSpanContext(parent, { ...spanContext, traceFlags });
  return {
    name,
    kind,
    startMs: options.startMs ?? Date.now(),
    self: captureCarrier(self),
    parent: captureCarrier(parent),
  };
}

/** The context in which the children of a reserved span are started, now or after a restart. */
export function reservedContext(reserved: ReservedSpan, base?: Context): Context {
  return restoreCarrier(reserved.self, base ? { base } : {});
}

/** Emits the reserved span, ended. Call once (D2). */
export function emitReservedSpan(reserved: ReservedSpan, options: EmitOptions = {}): void {
  const ids = spanContextOf(reserved.self);
  if (!ids) return;
  const sampled = options.sampled ?? (ids.traceFlags & TraceFlags.SAMPLED) !== 0;
  const reservation: Reservation = { sampled, traceState: ids.traceState, phase: 'emit' };
  const restored = restoreCarrier(reserved.parent);
  const parent = (options.asRoot ? trace.deleteSpan(restored) : restored).setValue(RESERVATION, reservation);
  const span = startWithIds(ids, () =>
    tracer().startSpan(
      reserved.name,
      {
        kind: reserved.kind,
        startTime: reserved.startMs,
        attributes: options.attributes ?? {},
        links: options.links ?? [],
      },
      parent,
    ),
  );
  finish(span, options);
}

function finish(span: Span, options: EmitOptions): void {
  for (const event of options.events ?? []) span.addEvent(event.name, event.attributes ?? {}, event.timeMs);
  if (options.status) span.setStatus(options.status);
  span.end(options.endMs ?? Date.now());
}
