import type { Carrier } from '../trace/carrier.ts';

/** A message that was sent before, and is to be sent again as it was: a job's, or a stranger's. */
export interface StoredMessage {
  readonly jobId: string;
  readonly jobType: string | undefined;
  readonly topic: string;
  readonly orderingKey: string | undefined;
  readonly orderKey: string | undefined;
  /** Any bytes. */
  readonly data: Uint8Array;
  /** All but the trace context, which is the carrier's. */
  readonly attributes: Readonly<Record<string, string>>;
  /** What the new `send` span belongs to. */
  readonly carrier: Carrier;
  /** True: forgotten as soon as it is sent, because no inbox will finish it. */
  readonly isSentOnce: boolean;
}
