import { MESSAGING_SUBSCRIPTION_NAME } from '../trace/semconv.ts';
import type { PubSubConnection } from './connection.ts';
import { grpcStatus } from './grpc-status.ts';
import { timeOperations } from './operation-metrics.ts';

/** Ack ids of the real service are near 200 bytes and a request may hold 512 KiB. */
const MAX_IDS_PER_REQUEST = 1_000;
const LINGER_MS = 10;
/** Pub/Sub postpones a message by at most ten minutes. */
const MAX_DEADLINE_SECONDS = 600;

/** An ack that is lost runs a finished job again: whatever may pass is retried, for as long as a lease usually lasts. */
const CALL = {
  retry: {
    retryCodes: [
      grpcStatus.ABORTED,
      grpcStatus.CANCELLED,
      grpcStatus.DEADLINE_EXCEEDED,
      grpcStatus.INTERNAL,
      grpcStatus.RESOURCE_EXHAUSTED,
      grpcStatus.UNAVAILABLE,
      grpcStatus.UNKNOWN,
    ],
    backoffSettings: {
      initialRetryDelayMillis: 100,
      retryDelayMultiplier: 2,
      maxRetryDelayMillis: 5_000,
      initialRpcTimeoutMillis: 10_000,
      rpcTimeoutMultiplier: 1,
      maxRpcTimeoutMillis: 10_000,
      totalTimeoutMillis: 30_000,
    },
  },
};
/** Whoever waits for the last acks has a grace time of its own: without Pub/Sub there is nothing to wait for. */
const FLUSH_TIMEOUT_MS = 5_000;

export interface AckBatcher {
  ack(ackId: string): void;
  /** Sets the ack deadline to `seconds` from now; 0 hands the message back. */
  modifyDeadline(ackId: string, seconds: number): void;
  /** Sends what is pending and waits for every request under way, for 5 s at most. */
  flush(): Promise<void>;
}

/**
 * Collects acks and deadline changes into few requests.
 *
 * Errors: a request that failed after the client's own retries goes to `onError`; its messages are redelivered.
 */
export function createAckBatcher(
  connection: PubSubConnection,
  subscription: string,
  onError: (error: Error) => void,
): AckBatcher {
  const inFlight = new Set<Promise<void>>();
  const labels = { [MESSAGING_SUBSCRIPTION_NAME]: subscription.split('/').at(-1) };
  const [timeAck, timeModack] = [timeOperations('ack', labels), timeOperations('modack', labels)];
  let acks: string[] = [];
  let deadlines = new Map<number, string[]>();
  let timer: NodeJS.Timeout | undefined;

  const send = (request: Promise<unknown>) => {
    const settled: Promise<void> = request.then(
      () => void inFlight.delete(settled),
      (error) => {
        inFlight.delete(settled);
        onError(error);
      },
    );
    inFlight.add(settled);
  };

  const sendPending = () => {
    clearTimeout(timer);
    timer = undefined;
    const [ackIds, byDeadline] = [acks, deadlines];
    acks = [];
    deadlines = new Map();
    const { subscriber } = connection;
    for (const chunk of chunks(ackIds))
      send(timeAck(subscriber.acknowledge({ subscription, ackIds: chunk }, CALL)));
    for (const [ackDeadlineSeconds, ids] of byDeadline) {
      for (const chunk of chunks(ids)) {
        send(
          timeModack(subscriber.modifyAckDeadline({ subscription, ackIds: chunk, ackDeadlineSeconds }, CALL)),
        );
      }
    }
  };

  const added = (ids: readonly string[]) => {
    if (ids.length >= MAX_IDS_PER_REQUEST) sendPending();
    else timer ??= setTimeout(sendPending, LINGER_MS);
  };

  return {
    ack(ackId) {
      acks.push(ackId);
      added(acks);
    },
    modifyDeadline(ackId, seconds) {
      const capped = Math.min(seconds, MAX_DEADLINE_SECONDS);
      const ids = deadlines.get(capped) ?? [];
      deadlines.set(capped, ids);
      ids.push(ackId);
      added(ids);
    },
    async flush() {
      sendPending();
      const { promise: late, resolve } = Promise.withResolvers<'late'>();
      const timer = setTimeout(resolve, FLUSH_TIMEOUT_MS, 'late');
      while (inFlight.size > 0 && (await Promise.race([Promise.all(inFlight), late])) !== 'late');
      clearTimeout(timer);
    },
  };
}

function* chunks(ids: readonly string[]): Generator<string[]> {
  for (let from = 0; from < ids.length; from += MAX_IDS_PER_REQUEST) {
    yield ids.slice(from, from + MAX_IDS_PER_REQUEST);
  }
}
