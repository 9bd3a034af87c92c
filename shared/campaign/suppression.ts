import { auditAction, type Via } from '../operator-action.ts';
import { OptionsError } from '../options.ts';
import { isStorable, storableText } from '../storable.ts';
import type { Database } from '../storage/database.ts';
import type { SqlClient } from '../storage/sql-client.ts';
import type { AddressScheme } from './channel.ts';

/** Of a suppression: whatever is sent, as after a bounce or a complaint. */
export const EVERY_CATEGORY = '*';

export interface SuppressOptions {
  readonly channel: AddressScheme;
  readonly address: string;
  /** What is not sent any more: a category of campaigns, or all of them (`*`, the default). */
  readonly category?: string;
  readonly actor: string;
  readonly reason: string;
  readonly via?: Via | undefined;
}

/**
 * From now on nothing is sent to this address, or nothing of one category: also of campaigns that run, whose jobs look at the
 * moment of sending. Who is being sent to at that moment still gets it. Audited. Saying it twice is as good as once.
 *
 * Errors: OptionsError, DatabaseUnavailableError.
 */
export async function suppress(database: Database, options: SuppressOptions): Promise<void> {
  const row = checked('suppress', options);
  await database.transaction(async (tx) => {
    const { rowCount } = await tx.query(
      `INSERT INTO throughline.suppression (channel, address_key, category, reason, actor) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT DO NOTHING`,
      [row.channel, row.addressKey, row.category, row.reason, row.actor],
    );
    if (rowCount === 1) await audit(tx, 'suppression.add', row);
  });
}

/** Shape: whether there was one. Errors: OptionsError, DatabaseUnavailableError. */
export async function unsuppress(database: Database, options: SuppressOptions): Promise<boolean> {
  const row = checked('unsuppress', options);
  return database.transaction(async (tx) => {
    const { rowCount } = await tx.query(
      'DELETE FROM throughline.suppression WHERE channel = $1 AND address_key = $2 AND category = $3',
      [row.channel, row.addressKey, row.category],
    );
    if (rowCount === 1) await audit(tx, 'suppression.remove', row);
    return rowCount === 1;
  });
}

interface Checked {
  readonly channel: string;
  readonly addressKey: string;
  readonly category: string;
  readonly reason: string;
  readonly actor: string;
  readonly via: Via | undefined;
}

function checked(of: string, options: SuppressOptions): Checked {
  const { channel, address, category = EVERY_CATEGORY, actor, reason, via } = options;
  const addressKey = channel.addressKey(address);
  const problems = [
    addressKey === undefined && `address: expected an address of channel ${channel.name}`,
    !isCategory(category) && `category: expected ${CATEGORY}, or *`,
    actor.trim() === '' && 'actor: expected the name of who does it',
    reason.trim() === '' && 'reason: expected why',
  ].filter((problem) => problem !== false);
  if (addressKey === undefined || problems.length > 0) throw new OptionsError(of, problems);
  return {
    channel: channel.name,
    addressKey,
    category,
    via,
    actor: storableText(actor, 200),
    reason: storableText(reason, 1_000),
  };
}

const CATEGORY = '1 to 64 lower-case letters, digits and dashes';

function isCategory(category: string): boolean {
  return category === EVERY_CATEGORY || (/^[a-z0-9][a-z0-9-]{0,63}$/.test(category) && isStorable(category));
}

/** The address itself is not kept with the audit: it is personal, and the suppression holds it. */
async function audit(
  tx: SqlClient,
  action: 'suppression.add' | 'suppression.remove',
  { channel, category, actor, reason, via }: Checked,
): Promise<void> {
  await auditAction(tx, { actor, via, action, target: `channel ${channel}`, reason, details: { category } });
}
