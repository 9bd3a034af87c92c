import { normalisedTree, type SpanRecord } from '../insight/index.ts';
import { type Arrivals, createArrivals, type Nothing, type WaitOptions } from '../shared/trace/arrivals.ts';
import { ORDER_KEY } from '../shared/trace/semconv.ts';

/**
 * The latest traces in memory.
 *
 * S1. `size` never exceeds `maxSpans`: the trace that arrived first goes first, and goes whole. Spans of it that
 *     arrive later begin it anew, without what was evicted.
 * S2. A span that arrives twice is kept once.
 */
export interface SpanStore {
  readonly add: (spans: readonly SpanRecord[]) => void;
  /** All spans of the traces in which the order key occurs, and of the traces that link into those. */
  readonly byOrder: (orderKey: string) => SpanRecord[];
  readonly byTrace: (traceId: string) => SpanRecord[];
  /** Resolves as soon as arriving spans give an answer. Errors: AwaitedSpansMissingError, or what `predicate` throws. */
  readonly waitFor: <T>(predicate: (store: SpanStore) => T | Nothing, options: WaitOptions) => Promise<T>;
  readonly size: number;
  readonly evictedTraces: number;
  readonly evictedSpans: number;
}

interface StoredTrace {
  readonly spans: Map<string, SpanRecord>;
  readonly orderKeys: Set<string>;
  readonly linksTo: Set<string>;
}

export function createSpanStore(options: { readonly maxSpans: number }): SpanStore {
  return new MemorySpanStore(options.maxSpans);
}

class MemorySpanStore implements SpanStore {
  readonly #maxSpans: number;
  /** In order of arrival, which a Map keeps. */
  readonly #traces = new Map<string, StoredTrace>();
  readonly #tracesOfOrder = new Map<string, Set<string>>();
  readonly #tracesLinkingTo = new Map<string, Set<string>>();
  readonly #arrivals: Arrivals = createArrivals(() => this.#describe());
  #size = 0;
  #evictedTraces = 0;
  #evictedSpans = 0;

  constructor(maxSpans: number) {
    this.#maxSpans = maxSpans;
  }

  get size(): number {
    return this.#size;
  }

  get evictedTraces(): number {
    return this.#evictedTraces;
  }

  get evictedSpans(): number {
    return this.#evictedSpans;
  }

  add(spans: readonly SpanRecord[]): void {
    for (const span of spans) {
      this.#addSpan(span);
      if (this.#size > this.#maxSpans) this.#evictOldest();
    }
    this.#arrivals.notify();
  }

  byTrace(traceId: string): SpanRecord[] {
    return [...(this.#traces.get(traceId)?.spans.values() ?? [])];
  }

  byOrder(orderKey: string): SpanRecord[] {
    const own = this.#tracesOfOrder.get(orderKey) ?? [];
    const traceIds = new Set(own);
    for (const traceId of own) {
      for (const linking of this.#tracesLinkingTo.get(traceId) ?? []) traceIds.add(linking);
    }
    return [...traceIds].flatMap((traceId) => this.byTrace(traceId));
  }

  waitFor<T>(predicate: (store: SpanStore) => T | Nothing, options: WaitOptions): Promise<T> {
    return this.#arrivals.waitFor(() => predicate(this), options);
  }

  #addSpan(span: SpanRecord): void {
    const { traceId, spanId } = span;
    const trace = this.#traces.get(traceId) ?? { spans: new Map(), orderKeys: new Set(), linksTo: new Set() };
    if (trace.spans.has(spanId)) return;
    this.#traces.set(traceId, trace);
    trace.spans.set(spanId, span);
    this.#size += 1;
    const orderKey = span.attributes[ORDER_KEY];
    if (typeof orderKey === 'string') {
      trace.orderKeys.add(orderKey);
      addTo(this.#tracesOfOrder, orderKey, traceId);
    }
    for (const link of span.links) {
      if (link.traceId === traceId) continue;
      trace.linksTo.add(link.traceId);
      addTo(this.#tracesLinkingTo, link.traceId, traceId);
    }
  }

  #evictOldest(): void {
    const [oldest] = this.#traces;
    if (!oldest) return;
    const [traceId, trace] = oldest;
    this.#traces.delete(traceId);
    this.#size -= trace.spans.size;
    this.#evictedTraces += 1;
    this.#evictedSpans += trace.spans.size;
    for (const orderKey of trace.orderKeys) removeFrom(this.#tracesOfOrder, orderKey, traceId);
    for (const target of trace.linksTo) removeFrom(this.#tracesLinkingTo, target, traceId);
  }

  /** Enough for an error message. */
  #describe(): string {
    const latest = [...this.#traces.values()].slice(-3).flatMap(({ spans }) => [...spans.values()]);
    return normalisedTree(latest.slice(-50));
  }
}

function addTo(index: Map<string, Set<string>>, key: string, traceId: string): void {
  const traceIds = index.get(key);
  if (traceIds) traceIds.add(traceId);
  else index.set(key, new Set([traceId]));
}

function removeFrom(index: Map<string, Set<string>>, key: string, traceId: string): void {
  const traceIds = index.get(key);
  traceIds?.delete(traceId);
  if (traceIds?.size === 0) index.delete(key);
}
