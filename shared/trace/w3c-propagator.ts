import {
  type BaggageEntry,
  type Context,
  isSpanContextValid,
  propagation,
  type TextMapGetter,
  type TextMapPropagator,
  type TextMapSetter,
  trace,
} from '@opentelemetry/api';
import { namedInRequests } from './named-in-requests.ts';
import { OrderBaggage } from './order-baggage.ts';
import { OtTraceState, readOtTraceState } from './ot-trace-state.ts';
import { ORDER_KEY, SAGA_ID } from './semconv.ts';

/**
 * W3C Trace Context and Baggage, with a short way for the headers that nearly every message bears.
 *
 * A `traceparent` of version 00 in its canonical form, no `tracestate` but OpenTelemetry's own member (which the sampler
 * writes), and baggage that needs no escaping are read and written here; everything else goes to OpenTelemetry's own propagators, whose answer is the standard for ours: a property
 * test compares the two. Reading and writing both headers cost as much as a span before.
 *
 * Source: W3C Trace Context level 1, "traceparent header"; W3C Baggage, "header content".
 */
export interface LibraryPropagators {
  readonly traceContext: TextMapPropagator;
  readonly baggage: TextMapPropagator;
  readonly isTracingSuppressed: (context: Context) => boolean;
}

const CANONICAL_TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-0([0-3])$/;
const NO_TRACE = '0'.repeat(32);
const NO_SPAN = '0'.repeat(16);
/** Members whose keys and values are the same before and after percent-encoding. */
const PLAIN = /^[A-Za-z0-9._~-]+$/;
const PLAIN_MEMBERS = /^[A-Za-z0-9._~-]+=[A-Za-z0-9._~-]+(?:,[A-Za-z0-9._~-]+=[A-Za-z0-9._~-]+){0,7}$/;
/** What our own publisher writes. */
const ORDER_ONLY = /^order\.event_id=([^,=]+)(?:,saga\.id=([^,=]+))?$/;
const MAX_PLAIN_MEMBERS = 8;
const MAX_PLAIN_CHARS = 512;

export function createW3CPropagator(library: LibraryPropagators): TextMapPropagator {
  return {
    inject(context, carrier, setter) {
      if (library.isTracingSuppressed(context)) return;
      injectTraceparent(library, context, carrier, setter);
      injectBaggage(library, context, carrier, setter);
    },
    extract: (context, carrier, getter) =>
      extractBaggage(library, extractTraceparent(library, context, carrier, getter), carrier, getter),
    fields: () => [...library.traceContext.fields(), ...library.baggage.fields()],
  };
}

function injectTraceparent<Carrier>(
  { traceContext }: LibraryPropagators,
  context: Context,
  carrier: Carrier,
  setter: TextMapSetter<Carrier>,
): void {
  const named = namedInRequests(context);
  const span = named ?? trace.getSpanContext(context);
  if (!span || !isSpanContextValid(span)) return;
  const { traceState } = span;
  if ((traceState && !(traceState instanceof OtTraceState)) || span.traceFlags > 3) {
    traceContext.inject(named ? trace.setSpanContext(context, named) : context, carrier, setter);
    return;
  }
  setter.set(carrier, 'traceparent', `00-${span.traceId}-${span.spanId}-0${span.traceFlags}`);
  if (traceState) setter.set(carrier, 'tracestate', traceState.serialize());
}

function injectBaggage<Carrier>(
  { baggage: library }: LibraryPropagators,
  context: Context,
  carrier: Carrier,
  setter: TextMapSetter<Carrier>,
): void {
  const baggage = propagation.getBaggage(context);
  if (!baggage) return;
  const header =
    baggage instanceof OrderBaggage ? orderHeader(baggage) : plainHeader(baggage.getAllEntries());
  if (header === undefined) library.inject(context, carrier, setter);
  else if (header !== '') setter.set(carrier, 'baggage', header);
}

function orderHeader({ orderKey, sagaId }: OrderBaggage): string | undefined {
  if (!PLAIN.test(orderKey) || orderKey.length > MAX_PLAIN_CHARS) return undefined;
  if (sagaId === undefined) return `${ORDER_KEY}=${orderKey}`;
  if (!PLAIN.test(sagaId) || orderKey.length + sagaId.length > MAX_PLAIN_CHARS) return undefined;
  return `${ORDER_KEY}=${orderKey},${SAGA_ID}=${sagaId}`;
}

function plainHeader(entries: readonly [string, BaggageEntry][]): string | undefined {
  if (entries.length > MAX_PLAIN_MEMBERS) return undefined;
  let header = '';
  for (const [key, { value, metadata }] of entries) {
    if (metadata !== undefined || !PLAIN.test(key) || !PLAIN.test(value)) return undefined;
    header += header === '' ? `${key}=${value}` : `,${key}=${value}`;
  }
  return header.length > MAX_PLAIN_CHARS ? undefined : header;
}

function extractTraceparent<Carrier>(
  { traceContext }: LibraryPropagators,
  context: Context,
  carrier: Carrier,
  getter: TextMapGetter<Carrier>,
): Context {
  const header = getter.get(carrier, 'traceparent');
  const state = getter.get(carrier, 'tracestate');
  const traceState = typeof state === 'string' ? readOtTraceState(state) : undefined;
  if (typeof header !== 'string' || (state !== undefined && !traceState)) {
    return traceContext.extract(context, carrier, getter);
  }
  const [, traceId, spanId, flags] = CANONICAL_TRACEPARENT.exec(header) ?? [];
  if (!traceId || !spanId || traceId === NO_TRACE || spanId === NO_SPAN) {
    return traceContext.extract(context, carrier, getter);
  }
  const span = { traceId, spanId, traceFlags: Number(flags), isRemote: true };
  return trace.setSpanContext(context, traceState ? { ...span, traceState } : span);
}

function extractBaggage<Carrier>(
  { baggage: library }: LibraryPropagators,
  context: Context,
  carrier: Carrier,
  getter: TextMapGetter<Carrier>,
): Context {
  const header = getter.get(carrier, 'baggage');
  if (header === undefined) return context;
  if (typeof header !== 'string' || header.length > MAX_PLAIN_CHARS || !PLAIN_MEMBERS.test(header)) {
    return library.extract(context, carrier, getter);
  }
  const [, orderKey, sagaId] = ORDER_ONLY.exec(header) ?? [];
  if (orderKey !== undefined) return propagation.setBaggage(context, new OrderBaggage(orderKey, sagaId));
  const entries: Record<string, BaggageEntry> = {};
  for (const member of header.split(',')) {
    const equals = member.indexOf('=');
    entries[member.slice(0, equals)] = { value: member.slice(equals + 1) };
  }
  return propagation.setBaggage(context, propagation.createBaggage(entries));
}
