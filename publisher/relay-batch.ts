import type { MessageSink } from '../shared/pubsub/message-sink.ts';
import type { SqlClient } from '../shared/storage/sql-client.ts';
import { endedSpansSaved } from '../shared/trace/release.ts';
import { markSent, postpone, type UnsentRow } from './outbox-rows.ts';
import type { TopicPauses } from './relay-pauses.ts';
import { sendTopic } from './relay-topic.ts';

/** What became of the rows that a relay took. */
export interface RelayBatch {
  readonly taken: number;
  readonly sent: number;
  readonly failures: readonly { readonly topic: string; readonly rows: number; readonly error: unknown }[];
  /** Rows that there was no time for. They are taken again, and are none the worse for it. */
  readonly handedBack: number;
}

export interface SendOptions {
  readonly sink: MessageSink;
  /** For the whole batch: its rows are locked for that long. */
  readonly timeoutMs: number;
  readonly pauses: TopicPauses;
  readonly baggageKeys?: readonly string[] | undefined;
}

/** Publishes locked rows, topics side by side, and marks them. Errors: only PostgreSQL's. */
export async function sendBatch(
  tx: SqlClient,
  rows: readonly UnsentRow[],
  { sink, timeoutMs, pauses, baggageKeys }: SendOptions,
): Promise<RelayBatch> {
  const startedMs = performance.now();
  const options = {
    sink,
    baggage: baggageKeys ? { baggageKeys } : {},
    deadlineMs: startedMs + timeoutMs,
    lastStartMs: startedMs + timeoutMs / 2,
  };
  const byTopic = [...Map.groupBy(rows, ({ topic }) => topic)];
  const results = await Promise.all(byTopic.map(([topic, own]) => sendTopic(topic, own, options)));
  for (const { topic, sent, isHanging } of results) {
    if (isHanging) pauses.hung(topic);
    else if (sent.length > 0) pauses.answered(topic);
  }
  await endedSpansSaved();
  const sent = results.flatMap((result) => result.sent);
  if (sent.length > 0) await markSent(tx, idsOf(sent));
  const failures = results.flatMap(({ topic, failures: own }) => own.map((one) => ({ topic, ...one })));
  for (const failure of failures) await postpone(tx, idsOf(failure.rows), failure.reason);
  const failed = failures.reduce((sum, { rows: own }) => sum + own.length, 0);
  return {
    taken: rows.length,
    sent: sent.length,
    failures: failures.map(({ topic, rows: own, error }) => ({ topic, rows: own.length, error })),
    handedBack: rows.length - sent.length - failed,
  };
}

function idsOf(rows: readonly UnsentRow[]): string[] {
  return rows.map(({ id }) => id);
}
