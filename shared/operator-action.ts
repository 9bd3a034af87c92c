import type { SqlClient } from './storage/sql-client.ts';
import { captureCarrier } from './trace/carrier.ts';

/** By which way an operator came. */
export type Via = 'cli' | 'http';

/** What an operator did, for the audit. */
export interface OperatorAct {
  /** Who did it, as they named themselves. */
  readonly actor: string;
  /** Undefined: code that called the library. */
  readonly via: Via | undefined;
  /** `saga.retry`, `fence.add` … */
  readonly action: string;
  /** To what: an id. */
  readonly target: string;
  readonly reason: string | undefined;
  readonly details: object;
}

/** Writes the audit row of an action, which bears the active span's context; to be called in the transaction of the action. */
export async function auditAction(
  tx: SqlClient,
  { actor, via, action, target, reason, details }: OperatorAct,
): Promise<void> {
  await tx.query(
    `INSERT INTO throughline.operator_action (actor, via, action, target, reason, details, carrier)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [
      actor,
      via ?? null,
      action,
      target,
      reason?.trim() || null,
      JSON.stringify(details),
      JSON.stringify(captureCarrier()),
    ],
  );
}
