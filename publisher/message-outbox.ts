import { isUtf8 } from 'node:buffer';
import type { StoredMessage } from '../shared/job/stored-message.ts';
import { checkMessage, MAX_ATTRIBUTES, MessageLimitError } from '../shared/pubsub/limits.ts';
import { storableText } from '../shared/storable.ts';
import type { Database } from '../shared/storage/database.ts';
import type { SqlClient } from '../shared/storage/sql-client.ts';
import { wake } from './outbox.ts';

export interface MessageOutbox {
  /**
   * Stores a message in the caller's transaction, in place of one of the same job: it is sent if and only if that commits.
   *
   * Errors: MessageLimitError, ReservedAttributeError, before anything is stored.
   */
  enqueueMessage(tx: SqlClient, message: StoredMessage): Promise<void>;
}

/** For redrives: `enqueueMessage` takes what is no payload of a known job any more. */
export function createMessageOutbox({ database }: { readonly database: Database }): MessageOutbox {
  return {
    async enqueueMessage(tx, message) {
      check(message);
      const { jobId, jobType = '', orderKey, data, attributes, carrier } = message;
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      const isText = isUtf8(bytes) && !bytes.includes(0);
      // Not updated: whoever is removing the row at this moment must not find it changed, and remove it all the same.
      await tx.query('DELETE FROM throughline.outbox WHERE job_id = $1', [jobId]);
      await tx.query(
        `INSERT INTO throughline.outbox (job_id, job_type, topic, ordering_key, order_key, data, bytes, attributes, carrier, once)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (job_id) DO NOTHING`,
        [
          jobId,
          storableText(jobType),
          message.topic,
          message.orderingKey ?? null,
          orderKey === undefined ? null : storableText(orderKey),
          isText ? bytes.toString('utf8') : '',
          isText ? null : bytes,
          JSON.stringify(attributes),
          JSON.stringify(carrier),
          message.isSentOnce,
        ],
      );
      await wake(tx, database);
    },
  };
}

function check({ data, attributes, orderingKey }: StoredMessage): void {
  checkMessage({ data, attributes, ...(orderingKey && { orderingKey }) });
  const withTraceparent = Object.keys(attributes).length + 1;
  if (withTraceparent > MAX_ATTRIBUTES)
    throw new MessageLimitError(
      'attributes, the trace context included',
      withTraceparent,
      MAX_ATTRIBUTES,
      'attributes',
    );
}
