import type { Attributes } from '@opentelemetry/api';
import { recordSeconds } from '../trace/meters.ts';
import { errorType } from '../trace/record-error.ts';
import {
  ERROR_TYPE,
  MESSAGING_OPERATION_NAME,
  MESSAGING_SYSTEM,
  MESSAGING_SYSTEM_GCP_PUBSUB,
  type MessagingOperation,
} from '../trace/semconv.ts';

/** Times requests of one kind to one topic or subscription: `messaging.client.operation.duration`. */
export type TimeOperation = <T>(request: Promise<T>) => Promise<T>;

export function timeOperations(operation: MessagingOperation, of: Attributes): TimeOperation {
  const attributes = {
    [MESSAGING_SYSTEM]: MESSAGING_SYSTEM_GCP_PUBSUB,
    [MESSAGING_OPERATION_NAME]: operation,
    ...of,
  };
  return async (request) => {
    const startedMs = performance.now();
    try {
      const answer = await request;
      record(startedMs, attributes);
      return answer;
    } catch (error) {
      record(startedMs, { ...attributes, [ERROR_TYPE]: errorType(error) });
      throw error;
    }
  };
}

function record(startedMs: number, attributes: Attributes): void {
  recordSeconds('messaging.client.operation.duration', (performance.now() - startedMs) / 1_000, attributes);
}
