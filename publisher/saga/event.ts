import type { Carrier } from '../../shared/trace/carrier.ts';
import type { ReservedSpan } from '../../shared/trace/durable-span.ts';

/** A failure as it is stored. */
export interface StoredError {
  /** A stable code, as `error.type`. */
  readonly type: string;
  readonly message: string;
}

/** An attempt's span, so that compensations can be linked to it and a lost trace can be told again. Times in ms since the epoch. */
export interface AttemptSpan {
  /** Its context, `traceparent` alone. */
  readonly span: Carrier;
  readonly startMs: number;
  readonly endMs: number;
  /** Time in which it waited for a signal or for a worker, in ms. */
  readonly waitMs?: number;
  /** Of a step that went on after a signal: the `resume` span that ended with it. Older events are without. */
  readonly resume?: { readonly span: Carrier; readonly startMs: number };
}

/**
 * What happened to a saga. Its state is the fold of these (machine.ts); each is stored before the saga goes on.
 *
 * A step's attempt ends with one `completed` or `failed`; in between it may be `suspended` and `signalled`, or
 * `dispatched` to a worker. A compensation's attempt likewise ends with `undone` or `undo-failed`.
 */
export type SagaEvent =
  | ({
      readonly kind: 'completed';
      readonly step: string;
      readonly attempt: number;
      readonly result?: unknown;
    } & AttemptSpan)
  | ({
      readonly kind: 'failed';
      readonly step: string;
      readonly attempt: number;
      readonly error: StoredError;
      /** Undefined: no further attempt. */
      readonly retryAtMs?: number;
      readonly mayHaveHappened: boolean;
    } & AttemptSpan)
  | {
      readonly kind: 'suspended';
      readonly step: string;
      readonly attempt: number;
      readonly signal: string;
      readonly data: unknown;
      readonly deadlineMs: number;
      readonly span: ReservedSpan;
      readonly atMs: number;
    }
  | {
      readonly kind: 'signalled';
      readonly step: string;
      readonly attempt: number;
      readonly payload: unknown;
      /** The context of what brought the signal. */
      readonly carrier: Carrier;
      readonly atMs: number;
    }
  | {
      readonly kind: 'dispatched';
      readonly step: string;
      readonly attempt: number;
      readonly jobId: string;
      readonly deadlineMs: number;
      readonly span: ReservedSpan;
      readonly undo: boolean;
    }
  | ({ readonly kind: 'undone'; readonly step: string; readonly attempt: number } & AttemptSpan)
  | ({
      readonly kind: 'undo-failed';
      readonly step: string;
      readonly attempt: number;
      readonly error: StoredError;
      /** Undefined: no further attempt; the saga is stuck. */
      readonly retryAtMs?: number;
    } & AttemptSpan)
  /** A worker's result that came when nobody waited for it any more: the step did happen. */
  | {
      readonly kind: 'completed-late';
      readonly step: string;
      readonly result?: unknown;
      readonly atMs: number;
    }
  /** The process that ran the saga died or was stopped in the middle of an attempt, which may have had its effect. */
  | {
      readonly kind: 'interrupted';
      readonly cause: 'process-lost' | 'shutdown';
      /** The runner that had the saga. */
      readonly runner: string;
      readonly atMs: number;
    }
  | {
      readonly kind: 'operator';
      readonly action: OperatorAction;
      readonly actor: string;
      readonly reason: string;
      readonly carrier: Carrier;
      readonly atMs: number;
    };

/** `retry` the stuck compensation; `skip` it and go on with the others; `resolve` the saga as it is, by hand. */
export type OperatorAction = 'retry' | 'skip' | 'resolve';
