import { type Baggage, type Context, context, propagation } from '@opentelemetry/api';
import { OrderBaggage } from './order-baggage.ts';
import { ORDER_KEY, SAGA_ID } from './semconv.ts';

/** The baggage members that are copied to every span and every log line. */
const COPIED_KEYS = [ORDER_KEY, SAGA_ID] as const;

/** A context whose spans, log lines and messages bear the order key (and the saga's id). */
export function withOrderKey(parent: Context, orderKey: string, sagaId?: string): Context {
  const present = propagation.getBaggage(parent);
  const isThere = present?.getEntry(ORDER_KEY)?.value === orderKey;
  if (isThere && (sagaId === undefined || present.getEntry(SAGA_ID)?.value === sagaId)) return parent;
  return propagation.setBaggage(parent, withKeys(present, orderKey, sagaId));
}

function withKeys(present: Baggage | undefined, orderKey: string, sagaId: string | undefined): Baggage {
  if (!present || present instanceof OrderBaggage)
    return new OrderBaggage(orderKey, sagaId ?? present?.sagaId);
  const baggage = present.setEntry(ORDER_KEY, { value: orderKey });
  return sagaId === undefined ? baggage : baggage.setEntry(SAGA_ID, { value: sagaId });
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
  if (crossesAsItIs(baggage, allowedKeys)) return baggage;
  const kept = allowedKeys.flatMap((key) => {
    const entry = baggage.getEntry(key);
    if (!entry || entry.value.length > MAX_VALUE_CHARS) return [];
    return [[key, { value: entry.value.toWellFormed() }] as const];
  });
  return kept.length > 0 ? propagation.createBaggage(Object.fromEntries(kept)) : undefined;
}

function crossesAsItIs(baggage: Baggage, allowedKeys: readonly string[]): boolean {
  if (!(baggage instanceof OrderBaggage)) {
    return baggage.getAllEntries().every(([key, { value, metadata }]) => {
      return allowedKeys.includes(key) && metadata === undefined && isIdentifier(value);
    });
  }
  const { orderKey, sagaId } = baggage;
  if (!allowedKeys.includes(ORDER_KEY) || !isIdentifier(orderKey)) return false;
  return sagaId === undefined || (allowedKeys.includes(SAGA_ID) && isIdentifier(sagaId));
}

function isIdentifier(value: string): boolean {
  return value.length <= MAX_VALUE_CHARS && value.isWellFormed();
}

/** It is copied to every span and log line: a stranger's message must not make those large. */
const MAX_VALUE_CHARS = 256;
