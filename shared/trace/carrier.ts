import {
  type Baggage,
  type Context,
  context,
  diag,
  propagation,
  ROOT_CONTEXT,
  type SpanContext,
  type TextMapGetter,
  type TextMapSetter,
  trace,
} from '@opentelemetry/api';
import { z } from 'zod';
import { LIGHT_ROOT, light } from './light-context.ts';
import { allowedBaggage } from './order-key.ts';
import { DEFAULT_BAGGAGE_KEYS } from './semconv.ts';
import { withKnownFlags } from './trace-flags.ts';

/**
 * A trace context as plain strings, as the configured propagator writes it: `{ traceparent, tracestate?, baggage? }`
 * with W3C's. Unlike a SpanContext it survives JSON, a database column, a session and a job's payload.
 */
export type Carrier = Readonly<Record<string, string>>;

/** For payloads and rows that hold a carrier. */
export const carrierSchema = z.record(z.string().max(256), z.string().max(8192));

const setter: TextMapSetter<Record<string, string>> = {
  set: (target, key, value) => {
    target[key] = value;
  },
};

const getter: TextMapGetter<Carrier> = {
  keys: (carrier) => Object.keys(carrier),
  get: (carrier, key) => {
    const value: unknown = Object.hasOwn(carrier, key) ? carrier[key] : undefined;
    return typeof value === 'string' ? value : undefined;
  },
};

const withoutBaggage: TextMapGetter<Carrier> = {
  keys: (carrier) => getter.keys(carrier).filter((key) => key !== 'baggage'),
  get: (carrier, key) => (key === 'baggage' ? undefined : getter.get(carrier, key)),
};

export interface BaggageOptions {
  /** Baggage members that may cross. Default: the order key and the saga's id. */
  readonly baggageKeys?: readonly string[];
}

/** The active (or given) context as a carrier; empty when there is no span and no allowed baggage in it. */
export function captureCarrier(from: Context = context.active(), options: BaggageOptions = {}): Carrier {
  const carrier: Record<string, string> = {};
  const crossing = withBaggage(from, allowedBaggage(propagation.getBaggage(from), keysOf(options)));
  try {
    propagation.inject(withKnownFlags(crossing), carrier, setter);
  } catch (error) {
    diag.error(`the propagator failed to write: ${String(error)}`);
  }
  return carrier;
}

/**
 * The context that a carrier describes, as a remote parent on top of `base`.
 *
 * Errors: none; a carrier that is malformed, or not one at all, restores to `base`.
 */
export function restoreCarrier(
  carrier: Carrier | undefined,
  options: BaggageOptions & { readonly base?: Context } = {},
): Context {
  const base = options.base ?? ROOT_CONTEXT;
  if (typeof carrier !== 'object' || carrier === null) return base;
  const lightBase = light(base);
  const restored = extract(lightBase, carrier);
  if (restored === lightBase) return base;
  const baggage = propagation.getBaggage(restored);
  const own = propagation.getBaggage(base);
  if (!baggage || baggage === own) return restored;
  return withBaggage(restored, allowedBaggage(baggage, keysOf(options)) ?? own);
}

function keysOf({ baggageKeys }: BaggageOptions): readonly string[] {
  return baggageKeys ?? DEFAULT_BAGGAGE_KEYS;
}

/** The same context where it bears this baggage already, as nearly all do. */
function withBaggage(from: Context, baggage: Baggage | undefined): Context {
  if (propagation.getBaggage(from) === baggage) return from;
  return baggage ? propagation.setBaggage(from, baggage) : propagation.deleteBaggage(from);
}

/** A propagator that throws, or a carrier that throws when it is read, is no reason for the work to fail. */
function extract(base: Context, carrier: Carrier, read: TextMapGetter<Carrier> = getter): Context {
  try {
    return propagation.extract(base, carrier, read);
  } catch (error) {
    diag.error(`the propagator failed to read: ${String(error)}`);
    return base;
  }
}

/** The span that a carrier names, to link to; undefined when it names none. */
export function spanContextOf(carrier: Carrier | undefined): SpanContext | undefined {
  if (typeof carrier !== 'object' || carrier === null) return undefined;
  return trace.getSpanContext(extract(LIGHT_ROOT, carrier, withoutBaggage));
}
