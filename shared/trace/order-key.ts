import { type Baggage, type BaggageEntry, type Context, context, propagation } from '@opentelemetry/api';
import { ORDER_KEY, SAGA_ID } from './semconv.ts';

/** The baggage members that are copied to every span and every log line. */
const COPIED_KEYS = [ORDER_KEY, SAGA_ID] as const;

/** A context whose spans, log lines and messages bear the order key (and the saga's id). */
export function withOrderKey(parent: Context, orderKey: string, sagaId?: string): Context {
  let baggage = propagation.getBaggage(parent) ?? propagation.createBaggage();
  const isThere = baggage.getEntry(ORDER_KEY)?.value === orderKey;
  if (isThere && (sagaId === undefined || baggage.getEntry(SAGA_ID)?.value === sagaId)) return parent;
  baggage = baggage.setEntry(ORDER_KEY, { value: orderKey });
  if (sagaId !== undefined) baggage = baggage.setEntry(SAGA_ID, { value: sagaId });
  return propagation.setBaggage(parent, baggage);
}

export function orderKeyOf(from: Context = context.active()): string | undefined {
  return propagation.getBaggage(from)?.getEntry(ORDER_KEY)?.value;
}

/** `{ 'order.event_id': …, 'saga.id': … }`, only what is there. */
export function orderAttributes(from: Context): Record<string, string> {
  const attributes: Record<string, string> = {};
  const baggage = propagation.getBaggage(from);
  if (!baggage) return attributes;
  for (const key of COPIED_KEYS) {
    const entry = baggage.getEntry(key);
    if (entry) attributes[key] = entry.value;
  }
  return attributes;
}

/**
 * The members of `baggage` whose keys are on the allow-list and whose values are short enough to be an identifier,
 * without their properties. Half a surrogate pair becomes U+FFFD: the propagator would throw and lose every member.
 */
export function allowedBaggage(
  baggage: Baggage | undefined,
  allowedKeys: readonly string[],
): Baggage | undefined {
  if (!baggage) return undefined;
  if (baggage.getAllEntries().every(([key, entry]) => allowedKeys.includes(key) && isPlain(entry)))
    return baggage;
  const kept = allowedKeys.flatMap((key) => {
    const entry = baggage.getEntry(key);
    if (!entry || entry.value.length > MAX_VALUE_CHARS) return [];
    return [[key, { value: entry.value.toWellFormed() }] as const];
  });
  return kept.length > 0 ? propagation.createBaggage(Object.fromEntries(kept)) : undefined;
}

/** An entry that crosses as it is. */
function isPlain({ value, metadata }: BaggageEntry): boolean {
  return metadata === undefined && value.length <= MAX_VALUE_CHARS && value.isWellFormed();
}

/** It is copied to every span and log line: a stranger's message must not make those large. */
const MAX_VALUE_CHARS = 256;
