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
  /** The same, and their size before compression. */
  measure(sender: string): Promise<{ readonly spans: number; readonly bytes: number }>;
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
  const measure: SpanReceiver['measure'] = (sender) => child.ask({ sender });
  return {
    endpointOf: (sender) => `${endpoint}/${sender}`,
    measure,
    count: async (sender) => (await measure(sender)).spans,
    stop: child.stop,
  };
}
