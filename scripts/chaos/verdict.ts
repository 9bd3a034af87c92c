import { judgeLedger } from '../../emulator/partners/judge.ts';
import type { LedgerRow } from '../../emulator/partners/ledger.ts';
import { findDisconnections } from '../../insight/index.ts';
import { listSagas } from '../../publisher/saga/index.ts';
import type { City } from './city.ts';

/** What a run came to; all but `orders` and `ended` are sentences, one a finding. */
export interface Verdict {
  readonly orders: number;
  /** How many orders ended in each state. */
  readonly ended: Readonly<Record<string, number>>;
  /** Taken from the customer, and not there; or confirmed without its effects. */
  readonly lost: readonly string[];
  /** What happened twice, or stands although the order was compensated. */
  readonly doubled: readonly string[];
  readonly disconnected: readonly string[];
  /** Neither ended nor visibly stuck or parked. */
  readonly silent: readonly string[];
  readonly stuck: readonly string[];
}

const CONFIRMED = [
  'account/verify',
  'card/redeem',
  'payment/capture',
  'payment/register-card',
  'registrar/acquire',
  'workspace/set-up',
  'mail/send',
];
/** What is never undone. */
const STAYS = new Set(['account/verify', 'payment/register-card', 'registrar/acquire']);

export async function judgeRun(city: City, placed: readonly string[]): Promise<Verdict> {
  const sagas = await listSagas(city.database, { limit: 1_000_000 });
  const sagaOf = new Map(sagas.map((saga) => [saga.orderKey, saga]));
  const effects = Map.groupBy(await city.sandbox.effects(), ({ orderKey }) => orderKey);
  const lost: string[] = [];
  const doubled: string[] = [];
  const disconnected: string[] = [];
  const silent: string[] = [];
  const stuck: string[] = [];
  const ended: Record<string, number> = {};
  for (const orderKey of placed) {
    const saga = sagaOf.get(orderKey);
    if (!saga) {
      lost.push(`${orderKey}: the order was taken and is not there`);
      continue;
    }
    ended[saga.state] = (ended[saga.state] ?? 0) + 1;
    if (saga.state === 'stuck' || (saga.parked && !saga.endedAt))
      stuck.push(`${orderKey}: ${saga.reason ?? saga.parked}`);
    else if (!saga.endedAt) silent.push(`${orderKey} is ${saga.state} at ${saga.step ?? 'no step'}`);
    const found = judgeEffects(saga.state, effects.get(orderKey) ?? []);
    lost.push(...found.missing.map((text) => `${orderKey}: ${text}`));
    doubled.push(...found.surplus.map((text) => `${orderKey}: ${text}`));
    const [gap] = findDisconnections(city.store.byOrder(orderKey), orderKey);
    if (gap) disconnected.push(`${orderKey}: ${gap.message}`);
  }
  return { orders: placed.length, ended, lost, doubled, disconnected, silent, stuck };
}

function judgeEffects(state: string, rows: readonly LedgerRow[]) {
  const { standing, doubles } = judgeLedger(rows);
  const missing =
    state === 'confirmed'
      ? CONFIRMED.filter((effect) => !standing.includes(effect)).map(
          (effect) => `confirmed without ${effect}`,
        )
      : [];
  const left =
    state === 'compensated'
      ? standing
          .filter((effect) => !STAYS.has(effect))
          .map((effect) => `compensated, and ${effect} still stands`)
      : [];
  return { missing, surplus: [...doubles, ...left] };
}
