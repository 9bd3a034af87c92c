import type { IncomingMessage, MessageSource } from '../shared/pubsub/message-source.ts';

export interface LeaseKeeper {
  hold(message: IncomingMessage): void;
  /** Forgets a message that was acked or handed back. False when it was not held any more. */
  release(message: IncomingMessage): boolean;
  holds(message: IncomingMessage): boolean;
  readonly heldCount: number;
  held(): readonly IncomingMessage[];
  stop(): void;
}

interface Lease {
  readonly message: IncomingMessage;
  untilMs: number;
}

export interface LeaseOptions {
  readonly source: MessageSource;
  /** A message is kept no longer than this after its arrival, in ms; then Pub/Sub redelivers it. */
  readonly maxLeaseMs: number;
  readonly onLeaseLost: (message: IncomingMessage) => void;
}

/** Extends the leases of messages that wait or run here, until they are settled or the stated maximum is reached. */
export function createLeaseKeeper({ source, maxLeaseMs, onLeaseLost }: LeaseOptions): LeaseKeeper {
  const leases = new Map<string, Lease>();
  const periodMs = source.ackDeadlineMs / 4;

  const extendDue = () => {
    const nowMs = Date.now();
    const due: IncomingMessage[] = [];
    for (const lease of leases.values()) {
      const { message } = lease;
      if (nowMs - message.receivedAtMs >= maxLeaseMs) {
        leases.delete(message.ackId);
        onLeaseLost(message);
      } else if (lease.untilMs - nowMs < source.ackDeadlineMs / 2 + periodMs) {
        lease.untilMs = nowMs + source.ackDeadlineMs;
        due.push(message);
      }
    }
    if (due.length > 0) source.extend(due);
  };
  const timer = setInterval(extendDue, periodMs);

  return {
    hold(message) {
      leases.set(message.ackId, { message, untilMs: message.receivedAtMs + source.ackDeadlineMs });
    },
    release: (message) => leases.delete(message.ackId),
    holds: (message) => leases.has(message.ackId),
    get heldCount() {
      return leases.size;
    },
    held: () => [...leases.values()].map(({ message }) => message),
    stop: () => clearInterval(timer),
  };
}
