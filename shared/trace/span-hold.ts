import type { SpanContext } from '@opentelemetry/api';
import { isSampled, type KeptBecause } from './sampling.ts';
import type { Tail, Verdict } from './tail.ts';

/** As much of an ended span as the hold needs. */
export interface EndedSpan {
  spanContext(): SpanContext;
}

export interface SpanHold<Span extends EndedSpan> {
  started(span: Span, parent: SpanContext | undefined): void;
  ended(span: Span): void;
  /**
   * Lets go of what has ended below the local root of this span, which itself may never end here. `because`: why it is to
   * be kept, where that is known already.
   */
  release(of: SpanContext, because?: KeptBecause): void;
}

export interface SpanHoldOptions<Span> {
  readonly forward: (span: Span) => void;
  readonly inherit?: (root: Span, span: Span) => void;
  /** Undefined: everything that ends is forwarded. */
  readonly tail?: Tail<Span> | undefined;
  /** Spans that may wait for a decision in all; beyond, those that are not sampled are dropped and counted. Default 65_536. */
  readonly maxUndecided?: number;
}

/** One piece of work of this process: a local root span and what was started below it. */
interface Work<Span> {
  readonly rootId: string;
  readonly root: Span;
  held: Span[];
  isOpen: boolean;
  hasRootEnded: boolean;
  verdict: Verdict;
  /** It was too large to be held to its end. */
  isCutShort: boolean;
  /** Spans that were not forwarded since: were they lost? That its end tells. */
  leftOut: number;
}

/** A piece of work with more spans than this is not held any longer. */
const MAX_HELD = 2_048;
const EVERYTHING: Verdict = { kind: 'all' };

/**
 * Holds the spans of a piece of work back until its local root has ended, so that the spans of a process that was killed
 * never name a parent that nobody will ever report, and so that what is sampled is decided when it is known how it went.
 *
 * H1. A span whose parent is live in this process belongs to that parent's work; any other one begins a work of its own.
 * H2. When its root ends, a work is forwarded whole, and what still ends in it later is forwarded at once.
 * H3. What the root learnt while it ran (whose order it is) its spans inherit before they are forwarded.
 * H4. With a tail, forwarded is what it keeps. A failure that comes after its work was dropped is forwarded alone.
 * H5. A work that is too large to be held is decided on by what is known then. If it fails or is slow afterwards, it is
 *     forwarded from there on, and what was left out before is counted as lost.
 */
export function createSpanHold<Span extends EndedSpan>({
  forward,
  inherit = () => {},
  tail,
  maxUndecided = 65_536,
}: SpanHoldOptions<Span>): SpanHold<Span> {
  const live = new Map<string, Work<Span>>();
  let undecided = 0;
  const pass = (work: Work<Span>, span: Span, verdict = work.verdict) => {
    if (work.hasRootEnded && work.root !== span) inherit(work.root, span); // H3
    if (!tail || tail.admits(span, verdict)) forward(span);
    else if (work.isCutShort && !work.hasRootEnded) work.leftOut += 1;
    else tail.drop('coin');
  };
  const close = (work: Work<Span>, because?: KeptBecause) => {
    work.isOpen = false;
    if (tail) work.verdict = tail.judge(work.root, work.held, because);
    undecided -= work.held.length;
    for (const span of work.held) pass(work, span);
    work.held = [];
  };
  const hold = (work: Work<Span>, span: Span) => {
    if (tail && undecided >= maxUndecided && !isSampled(span.spanContext())) return tail.drop('hold_full');
    work.held.push(span);
    undecided += 1;
    if (work.held.length <= MAX_HELD) return;
    work.isCutShort = true;
    close(work);
  };
  /** H4. */
  const late = (span: Span): Verdict => tail?.judge(span, []) ?? EVERYTHING;
  /** H5. */
  const settle = (work: Work<Span>) => {
    if (work.leftOut > 0) tail?.drop(work.verdict.kind === 'all' ? 'work_too_large' : 'coin', work.leftOut);
    work.leftOut = 0;
  };
  return {
    started(span, parent) {
      const { spanId } = span.spanContext();
      const own = (): Work<Span> => ({
        rootId: spanId,
        root: span,
        held: [],
        isOpen: true,
        hasRootEnded: false,
        verdict: EVERYTHING,
        isCutShort: false,
        leftOut: 0,
      });
      live.set(spanId, (parent && live.get(parent.spanId)) ?? own()); // H1
    },
    ended(span) {
      const { spanId } = span.spanContext();
      const work = live.get(spanId);
      live.delete(spanId);
      if (!work) {
        if (!tail || tail.admits(span, late(span))) forward(span);
        else tail.drop('coin');
        return;
      }
      if (work.isOpen && work.rootId !== spanId) return hold(work, span);
      if (work.rootId === spanId) work.hasRootEnded = true;
      if (work.isOpen) close(work); // H2
      const verdict = work.verdict.kind === 'none' ? late(span) : work.verdict;
      if (work.isCutShort && verdict.kind === 'all') work.verdict = verdict;
      if (work.rootId === spanId) settle(work);
      pass(work, span, verdict);
    },
    release(of, because) {
      const work = live.get(of.spanId);
      if (!work) return;
      live.delete(work.rootId);
      if (!work.isOpen) return;
      close(work, because);
      tail?.keep(work.root, work.verdict);
    },
  };
}
