import {
  type Baggage,
  type Context,
  diag,
  isSpanContextValid,
  propagation,
  type SpanContext,
  type TextMapGetter,
  type TextMapSetter,
  trace,
} from '@opentelemetry/api';
import { MAX_ATTRIBUTE_VALUE_BYTES, MAX_ATTRIBUTES } from '../pubsub/limits.ts';
import { LIGHT_ROOT } from './light-context.ts';
import { count } from './meters.ts';
import { allowedBaggage } from './order-key.ts';
import { DEFAULT_BAGGAGE_KEYS } from './semconv.ts';
import { withKnownFlags } from './trace-flags.ts';

/**
 * Trace context in and out of a Pub/Sub message's attributes, through whatever propagator is configured.
 *
 * Writing. When there is no room (100 attributes, 1024 bytes a value) baggage members go first, then `tracestate`;
 * never `traceparent`. What was dropped is counted in `throughline.context.dropped`.
 * Reading. Nothing here throws: a malformed or hostile header means a new trace, counted in
 * `throughline.context.malformed`. When `traceparent` and `googclient_traceparent` are both there and differ, ours is
 * the parent, because the application wrote it and baggage came with it; Google's becomes a link.
 */

export type Attributes = Record<string, string>;

/** What Google's own client puts before each header's name. */
const GOOGLE_CLIENT_PREFIX = 'googclient_';
/** Headers of Google's form that are written with `interop: 'google'`; its receivers read no baggage. */
const GOOGLE_CLIENT_HEADERS = ['traceparent', 'tracestate'] as const;
/** Dropped in this order when there is no room. */
const DROPPED_FIRST = ['baggage', 'tracestate', `${GOOGLE_CLIENT_PREFIX}traceparent`] as const;

const setter: TextMapSetter<Attributes> = {
  set: (attributes, key, value) => {
    attributes[key] = value;
  },
};

const getter: TextMapGetter<Readonly<Attributes>> = {
  keys: (attributes) => Object.keys(attributes),
  get: (attributes, key) => (Object.hasOwn(attributes, key) ? attributes[key] : undefined),
};

const googleClientGetter: TextMapGetter<Readonly<Attributes>> = {
  keys: (attributes) => Object.keys(attributes),
  get: (attributes, key) => getter.get(attributes, GOOGLE_CLIENT_PREFIX + key),
};

/** Creates the series of both counters at 0. */
export function createContextSeries(): void {
  for (const part of DROPPED_FIRST) count('throughline.context.dropped', { part }, 0);
  for (const attribute of ['traceparent', `${GOOGLE_CLIENT_PREFIX}traceparent`])
    count('throughline.context.malformed', { attribute }, 0);
}

export interface InjectOptions {
  /** Baggage members that may cross. Default: the order key and the saga's id. */
  readonly baggageKeys?: readonly string[];
  /** `google`: also write `googclient_traceparent`, for receivers that use Google's own tracing. Default: not. */
  readonly interop?: 'google' | undefined;
}

/** Writes the context into `attributes`, which hold the message's other attributes already. */
export function injectContext(attributes: Attributes, from: Context, options: InjectOptions = {}): void {
  const headers: Attributes = {};
  const baggage = allowedBaggage(propagation.getBaggage(from), options.baggageKeys ?? DEFAULT_BAGGAGE_KEYS);
  const written = withKnownFlags(from);
  inject(withBaggage(written, baggage), headers);
  shortenBaggage(headers, written, baggage);
  if (byteLength(headers['tracestate']) > MAX_ATTRIBUTE_VALUE_BYTES) drop(headers, 'tracestate');
  if (options.interop === 'google') copyForGoogleClients(headers);
  makeRoom(headers, MAX_ATTRIBUTES - Object.keys(attributes).length);
  Object.assign(attributes, headers);
}

/** Leaves out baggage members, the last first, until the header fits into one attribute. */
function shortenBaggage(headers: Attributes, from: Context, baggage: Baggage | undefined): void {
  let remaining = baggage;
  while (remaining && byteLength(headers['baggage']) > MAX_ATTRIBUTE_VALUE_BYTES) {
    const last = remaining.getAllEntries().at(-1)?.[0];
    remaining = last === undefined ? undefined : remaining.removeEntry(last);
    count('throughline.context.dropped', { part: 'baggage' });
    delete headers['baggage'];
    inject(withBaggage(from, remaining), headers);
  }
}

/** A propagator that throws costs its headers, never the message. */
function inject(from: Context, headers: Attributes): void {
  try {
    propagation.inject(from, headers, setter);
  } catch (error) {
    diag.error(`the propagator failed to write: ${String(error)}`);
  }
}

function extract(
  attributes: Readonly<Attributes>,
  from: TextMapGetter<Readonly<Attributes>>,
): { context: Context; span: SpanContext | undefined } {
  try {
    const extracted = propagation.extract(LIGHT_ROOT, attributes, from);
    const span = trace.getSpanContext(extracted);
    if (!span || isSpanContextValid(span)) return { context: extracted, span };
    return { context: trace.deleteSpan(extracted), span: undefined };
  } catch (error) {
    diag.error(`the propagator failed to read: ${String(error)}`);
    return { context: LIGHT_ROOT, span: undefined };
  }
}

function copyForGoogleClients(headers: Attributes): void {
  for (const name of GOOGLE_CLIENT_HEADERS) {
    const value = headers[name];
    if (value !== undefined) headers[GOOGLE_CLIENT_PREFIX + name] = value;
  }
}

function makeRoom(headers: Attributes, room: number): void {
  for (const name of DROPPED_FIRST) {
    if (Object.keys(headers).length <= room) return;
    if (!(name in headers)) continue;
    drop(headers, name);
    delete headers[GOOGLE_CLIENT_PREFIX + name];
  }
}

function drop(headers: Attributes, name: string): void {
  delete headers[name];
  count('throughline.context.dropped', { part: name });
}

function withBaggage(from: Context, baggage: Baggage | undefined): Context {
  if (propagation.getBaggage(from) === baggage) return from;
  return baggage ? propagation.setBaggage(from, baggage) : propagation.deleteBaggage(from);
}

function byteLength(value: string | undefined): number {
  return value === undefined ? 0 : Buffer.byteLength(value);
}

export interface MessageContext {
  /** Carries the remote parent span, if any, and the allowed baggage. */
  readonly context: Context;
  readonly parent: SpanContext | undefined;
  readonly source: 'own' | 'google-client' | 'none';
  /** Google's client's span, when it is there and is not the parent: to be linked. */
  readonly googleClient: SpanContext | undefined;
}

/** Reads the context that a message carries. Errors: none; telemetry does not fail a message. */
export function extractContext(
  attributes: Readonly<Attributes>,
  options: { readonly baggageKeys?: readonly string[] } = {},
): MessageContext {
  const { context: extracted, span: own } = extract(attributes, getter);
  const keys = options.baggageKeys ?? DEFAULT_BAGGAGE_KEYS;
  const base = withBaggage(extracted, allowedBaggage(propagation.getBaggage(extracted), keys));
  const google = readGoogleClient(attributes);
  if (!own) countMalformed(attributes, 'traceparent');
  if (own) {
    const differs = google?.spanId !== own.spanId || google.traceId !== own.traceId;
    return { context: base, parent: own, source: 'own', googleClient: differs ? google : undefined };
  }
  if (google) {
    const context = trace.setSpanContext(base, google);
    return { context, parent: google, source: 'google-client', googleClient: undefined };
  }
  return { context: base, parent: undefined, source: 'none', googleClient: undefined };
}

function readGoogleClient(attributes: Readonly<Attributes>): SpanContext | undefined {
  const name = `${GOOGLE_CLIENT_PREFIX}traceparent`;
  if (!Object.hasOwn(attributes, name)) return undefined;
  const { span: google } = extract(attributes, googleClientGetter);
  if (!google) countMalformed(attributes, name);
  return google;
}

function countMalformed(attributes: Readonly<Attributes>, attribute: string): void {
  // Under another propagator than W3C's the header was not looked at.
  if (!Object.hasOwn(attributes, attribute) || !propagation.fields().includes('traceparent')) return;
  count('throughline.context.malformed', { attribute });
}
