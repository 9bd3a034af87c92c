import type { FenceAction } from '../shared/fence/fence.ts';
import type { Database } from '../shared/storage/database.ts';
import { observeDatabase } from '../shared/storage/database-gauges.ts';

const STANDING = 'throughline.fences.standing';
const ACTIONS: readonly FenceAction[] = ['pause', 'cancel'];

/** Publishes the gauge `throughline.fences.standing`: how many fences pause or cancel jobs now. */
export function observeFences(database: Database): { stop(): void } {
  return observeDatabase(database, [STANDING], async (client) => {
    const { rows } = await client.query<{ action: string; fences: number }>(
      'SELECT action, count(*)::integer AS fences FROM throughline.fence WHERE lifted_at IS NULL GROUP BY action',
    );
    return ACTIONS.map((action) => ({
      gauge: STANDING,
      value: rows.find((row) => row.action === action)?.fences ?? 0,
      attributes: { action },
    }));
  });
}
