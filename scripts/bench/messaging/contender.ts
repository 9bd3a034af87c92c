/** One way of sending and receiving messages. The same work for all: a JSON payload, checked by nobody but Throughline. */
export interface Contender {
  /** Creates topic and subscription. */
  prepare(names: Names): Promise<void>;
  /** Publishes; resolves when Pub/Sub has all messages. `pacePerSecond` 0: as fast as it goes. */
  publish(names: Names, load: Pace): Promise<void>;
  /** Calls `onMessage` with each payload until `stop`. */
  subscribe(names: Names, onMessage: (payload: BenchPayload) => void): Promise<{ stop(): Promise<void> }>;
  /** Spans that were exported in this process, and closing what is open. */
  close(): Promise<number>;
}

export interface Names {
  readonly topic: string;
  readonly subscription: string;
}

export type Pace = Omit<Load, 'warmUp'>;

export interface Load {
  /** Published and handled before anything is measured, so that both processes are connected and compiled. */
  readonly warmUp: number;
  readonly messages: number;
  readonly pacePerSecond: number;
}

export interface BenchPayload {
  readonly orderKey: string;
  readonly number: number;
  /** Milliseconds since the Unix epoch, with fractions. */
  readonly sentAtMs: number;
  readonly text: string;
}

/** About 300 bytes on the wire, the size of a job with a few fields. */
export function payload(number: number): BenchPayload {
  return { orderKey: `O-${number % 1_000}`, number, sentAtMs: nowMs(), text: FILLER };
}

const FILLER = 'x'.repeat(200);

export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Publishes with a bound on what is outstanding, as a careful service does; the same bound for all. */
export async function publishLoad(
  load: Pace,
  publishOne: (number: number) => Promise<unknown>,
): Promise<void> {
  const outstanding = new Set<Promise<unknown>>();
  const startedMs = performance.now();
  let gate: (() => void) | undefined;
  for (let number = 0; number < load.messages; number++) {
    if (load.pacePerSecond > 0) await until(startedMs + (number * 1_000) / load.pacePerSecond);
    const sent = publishOne(number).finally(() => {
      outstanding.delete(sent);
      if (outstanding.size < MAX_OUTSTANDING) gate?.();
    });
    outstanding.add(sent);
    if (outstanding.size >= MAX_OUTSTANDING) {
      await new Promise<void>((resolve) => {
        gate = resolve;
      });
    }
  }
  await Promise.all(outstanding);
}

const MAX_OUTSTANDING = 4_000;

async function until(dueMs: number): Promise<void> {
  const waitMs = dueMs - performance.now();
  if (waitMs > 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
}
