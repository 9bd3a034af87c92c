import type { SqlClient } from '../storage/sql-client.ts';

/**
 * The lock on a campaign's state: shared by whoever begins to send, exclusive for whoever changes it.
 *
 * PostgreSQL serves it in the order of asking. A row that is locked `FOR SHARE` all the time, by ever new transactions, would keep
 * whoever wants to pause or cancel waiting for as long as it is busy. To be had before the row's lock, and after that on the
 * campaign's progress.
 */
export function lockKey(number: string): string {
  return `hashtextextended('throughline campaign ' || ${number}, 0)`;
}

/** Until the transaction ends. Errors: DatabaseUnavailableError. */
export async function lockCampaign(tx: SqlClient, number: string): Promise<void> {
  await tx.query(`SELECT pg_advisory_xact_lock(${lockKey('$1::text')})`, [number]);
}
