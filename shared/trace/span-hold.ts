import type { SpanContext } from '@opentelemetry/api';

/** As much of an ended span as the hold needs. */
export interface EndedSpan {
  spanContext(): SpanContext;
}

export interface SpanHold<Span extends EndedSpan> {
  started(span: Span, parent: SpanContext | undefined): void;
  ended(span: Span): void;
  /** Lets go of what has ended below the local root of this span, which itself may never end here. */
  release(of: SpanContext): void;
}

export interface SpanHoldOptions<Span> {
  readonly forward: (span: Span) => void;
  readonly inherit?: (root: Span, span: Span) => void;
}

/** One piece of work of this process: a local root span and what was started below it. */
interface Work<Span> {
  readonly rootId: string;
  held: Span[];
  isOpen: boolean;
  /** Once it has ended. */
  root?: Span;
}

/** A piece of work with more spans than this is not held any longer. */
const MAX_HELD = 2_048;

/**
 * Holds the spans of a piece of work back until its local root has ended, so that the spans of a process that was killed
 * never name a parent that nobody will ever report.
 *
 * H1. A span whose parent is live in this process belongs to that parent's work; any other one begins a work of its own.
 * H2. When its root ends, a work is forwarded whole, and what still ends in it later is forwarded at once.
 * H3. What the root learnt while it ran (whose order it is) its spans inherit before they are forwarded.
 */
export function createSpanHold<Span extends EndedSpan>({
  forward,
  inherit = () => {},
}: SpanHoldOptions<Span>): SpanHold<Span> {
  const live = new Map<string, Work<Span>>();
  const pass = ({ root }: Work<Span>, span: Span) => {
    if (root && root !== span) inherit(root, span); // H3
    forward(span);
  };
  const close = (work: Work<Span>) => {
    work.isOpen = false;
    for (const span of work.held) pass(work, span);
    work.held = [];
  };
  return {
    started(span, parent) {
      const { spanId } = span.spanContext();
      const own = () => ({ rootId: spanId, held: [], isOpen: true });
      live.set(spanId, (parent && live.get(parent.spanId)) ?? own()); // H1
    },
    ended(span) {
      const { spanId } = span.spanContext();
      const work = live.get(spanId);
      live.delete(spanId);
      if (!work) return forward(span);
      if (work.isOpen && work.rootId !== spanId) {
        work.held.push(span);
        if (work.held.length > MAX_HELD) close(work);
        return;
      }
      if (work.isOpen) {
        work.root = span;
        close(work); // H2
      }
      pass(work, span);
    },
    release({ spanId }) {
      const work = live.get(spanId);
      if (!work) return;
      live.delete(work.rootId);
      close(work);
    },
  };
}
