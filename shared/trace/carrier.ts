import {
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

export interface BaggageOptions {
  /** Baggage members that may cross. Default: the order key and the saga's id. */
  readonly baggageKeys?: readonly string[];
}

/** The active (or given) context as a carrier; empty when there is no span and no allowed baggage in it. */
export function captureCarrier(from: Context = context.active(), options: BaggageOptions = {}): Carrier {
  const carrier: Record<string, string> = {};
  const baggage = allowedBaggage(propagation.getBaggage(from), options.baggageKeys ?? DEFAULT_BAGGAGE_KEYS);
  const crossing = baggage ? propagation.setBaggage(from, baggage) : propagation.deleteBaggage(from);
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
  const restored = extract(base, carrier);
  const baggage = propagation.getBaggage(restored);
  const own = propagation.getBaggage(base);
  if (!baggage || baggage === own) return restored;
  const allowed = allowedBaggage(baggage, options.baggageKeys ?? DEFAULT_BAGGAGE_KEYS) ?? own;
  return allowed ? propagation.setBaggage(restored, allowed) : propagation.deleteBaggage(restored);
}

/** A propagator that throws, or a carrier that throws when it is read, is no reason for the work to fail. */
function extract(base: Context, carrier: Carrier): Context {
  try {
    return propagation.extract(base, carrier, getter);
  } catch (error) {
    diag.error(`the propagator failed to read: ${String(error)}`);
    return base;
  }
}

/** The span that a carrier names, to link to; undefined when it names none. */
export function spanContextOf(carrier: Carrier | undefined): SpanContext | undefined {
  return trace.getSpanContext(restoreCarrier(carrier));
}
