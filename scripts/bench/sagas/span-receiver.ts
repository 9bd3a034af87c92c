import { fileURLToPath } from 'node:url';
import { startBenchChild } from '../child.ts';

const MAIN = fileURLToPath(new URL('./receiver-process.ts', import.meta.url));
const TIMEOUT_MS = 3_600_000;

/** Who receives spans, in a process of its own. */
export interface SpanReceiver {
  /** Where a sender exports to. */
  endpointOf(sender: string): string;
  /** How many spans of the sender came since the last call. */
  count(sender: string): Promise<number>;
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
    endpointOf: (sender) => `${endpoint}/${sender}`,
    async count(sender) {
      const { spans } = await child.ask<{ readonly spans: number }>({ sender });
      return spans;
    },
    stop: child.stop,
  };
}
