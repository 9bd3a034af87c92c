/** What an exporter is to the SDK. */
export interface Exporter<Span> {
  export(spans: Span[], done: (result: ExportOutcome) => void): void;
  forceFlush?(): Promise<void>;
  shutdown(): Promise<void>;
}

/** Shape: the SDK's; code 0 is success. */
export interface ExportOutcome {
  readonly code: number;
  readonly error?: Error;
}

export interface BoundedExporter<Span> extends Exporter<Span> {
  forceFlush(): Promise<void>;
  /** Resolves when no export is under way. */
  settled(): Promise<void>;
  /** Whatever is under way counts as failed now, and what comes later fails at once. */
  giveUp(): void;
}

export interface BoundedExporterOptions {
  /** After this an export has failed, in ms, whatever the receiver does: also when it answers a byte at a time. */
  readonly timeoutMs: number;
  /** Lets go of what an export holds whose time is up (its connection, and the request's bytes). */
  readonly abort?: () => void;
}

/**
 * An exporter that says of every batch once, and in time, whether it was sent.
 *
 * B1. Each batch is answered for exactly once, at most `timeoutMs` after it was given: so what was sent and what was lost add
 *     up to what was recorded. An answer that comes later changes nothing: the batch is counted as lost although it may have arrived.
 * B2. After `giveUp` nothing is under way: the end of a process does not depend on its receiver.
 */
export function boundExporter<Span>(
  inner: Exporter<Span>,
  { timeoutMs, abort = () => {} }: BoundedExporterOptions,
): BoundedExporter<Span> {
  const pending = new Set<(result: ExportOutcome) => void>();
  const waiting = new Set<() => void>();
  let isOver = false;
  const settle = () => {
    if (pending.size > 0) return;
    for (const resolve of waiting) resolve();
    waiting.clear();
  };
  const settled = () =>
    new Promise<void>((resolve) => {
      waiting.add(resolve);
      settle();
    });
  return {
    export(spans, done) {
      if (isOver) return done(failed('telemetry has stopped'));
      const finish = (result: ExportOutcome) => {
        if (!pending.delete(finish)) return; // B1
        clearTimeout(timer);
        done(result);
        settle();
      };
      const timer = setTimeout(() => {
        finish(failed(`no answer within ${timeoutMs} ms`));
        abort();
      }, timeoutMs);
      pending.add(finish);
      try {
        inner.export(spans, finish);
      } catch (error) {
        finish({ code: FAILED, error: error instanceof Error ? error : new Error(String(error)) });
      }
    },
    forceFlush: settled,
    settled,
    giveUp() {
      isOver = true; // B2
      for (const finish of [...pending]) finish(failed('given up at the end of the process'));
      abort();
    },
    shutdown: () => inner.shutdown(),
  };
}

const FAILED = 1;

function failed(message: string): ExportOutcome {
  return { code: FAILED, error: new Error(message) };
}
