import { hash } from 'node:crypto';
import { type Context, context, createContextKey, type Span } from '@opentelemetry/api';

/**
 * Span ids that are known before their span exists.
 *
 * Two needs meet here. A durable span's id is reserved first and its span is emitted later, perhaps by another process.
 * And the process span of attempt n has an id derived from message and attempt, so that attempt n+1, in whichever
 * worker it runs, can link to it without any storage. Both give the SDK an id for the very next span; that is safe
 * because a tracer asks for ids synchronously inside `startSpan`.
 *
 * A third: work that is run again after its process was killed repeats the calls of the first run. With
 * `withDerivedIds` the spans of those calls get the same ids again, so that what the first run's calls caused in other
 * services (which did report) finds its parent.
 */

export interface IdGenerator {
  generateTraceId(): string;
  generateSpanId(): string;
}

export interface SpanIds {
  readonly spanId: string;
  /** Used only when the span is a root. */
  readonly traceId?: string;
}

let next: SpanIds | undefined;
/** A tracer asks for the span id first, and for a trace id only if the span is a root. */
let rootTraceId: string | undefined;
let hasGenerator = false;

/** What the tracer provider must be given, so that ids chosen beforehand are used. */
export function createIdGenerator(random: IdGenerator): IdGenerator {
  hasGenerator = true;
  return {
    generateTraceId() {
      const chosen = rootTraceId;
      rootTraceId = undefined;
      return chosen ?? random.generateTraceId();
    },
    generateSpanId() {
      const chosen = next;
      next = undefined; // a span processor may start spans of its own
      rootTraceId = chosen?.traceId;
      return chosen?.spanId ?? derivedInContext() ?? random.generateSpanId();
    },
  };
}

const DERIVED = createContextKey('throughline derived ids');

interface DerivedIds {
  readonly seed: string;
  count: number;
  /** How many spans of each name had ids of their own. */
  readonly named: Map<string, number>;
}

/**
 * Spans that are started while the returned context (or one made from it) is active get ids that follow from `seed` and
 * their number: work that makes the same calls in the same order gets the same ids, in whichever process.
 */
export function withDerivedIds(base: Context, seed: string): Context {
  const ids: DerivedIds = { seed, count: 0, named: new Map() };
  return base.setValue(DERIVED, ids);
}

/**
 * The seed for a named span of such work: it follows from the span's name, and how many of that name came before. Neither
 * its id nor those below it depend on how many spans its neighbours began: a call that was tried three times in one run, and
 * once in the next. Shape: undefined where ids are not derived.
 */
export function seedOfNamed(name: string, from: Context): string | undefined {
  const ids = from.getValue(DERIVED) as DerivedIds | undefined;
  if (!ids) return undefined;
  const number = (ids.named.get(name) ?? 0) + 1;
  ids.named.set(name, number);
  return `${ids.seed}/${name}#${number}`;
}

function derivedInContext(): string | undefined {
  const ids = context.active().getValue(DERIVED) as DerivedIds | undefined;
  if (!ids) return undefined;
  ids.count += 1;
  return deriveIds(`${ids.seed}#${ids.count}`).spanId;
}

/** Starts the one span that `start` starts with the given ids. Without our generator its ids are random. */
export function startWithIds(ids: SpanIds, start: () => Span): Span {
  next = ids;
  try {
    return start();
  } finally {
    next = undefined;
    rootTraceId = undefined;
  }
}

/** Whether ids given to `startWithIds` are used: false in a process whose tracer provider never got our generator. */
export function chosenIdsAreUsed(): boolean {
  return hasGenerator;
}

/** A trace id and a span id that follow from `seed` alone. */
export function deriveIds(seed: string): Required<SpanIds> {
  const hex = hash('sha256', seed, 'hex');
  return { traceId: hex.slice(0, 32), spanId: hex.slice(32, 48) };
}
