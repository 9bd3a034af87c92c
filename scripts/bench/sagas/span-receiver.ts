import { fileURLToPath } from 'node:url';
import { startBenchChild } from '../child.ts';

const MAIN = fileURLToPath(new URL('./receiver-process.ts', import.meta.url));
const TIMEOUT_MS = 3_600_000;

/** Who receives Throughline's spans, in a process of its own. */
export interface SpanReceiver {
  readonly endpoint: string;
  /** How many spans came since the last call. */
  count(): Promise<number>;
  stop(): Promise<void>;
}

export async function startSpanReceiver(): Promise<SpanReceiver> {
  const child = startBenchChild<{ readonly endpoint: string }>({
    main: MAIN,
    assignment: {},
    name: 'the receiver of spans',
    timeoutMs: TIMEOUT_MS,
  });
  const { endpoint } = await child.result;
  return {
    endpoint,
    async count() {
      const { spans } = await child.ask<{ readonly spans: number }>('count');
      return spans;
    },
    stop: child.stop,
  };
}
