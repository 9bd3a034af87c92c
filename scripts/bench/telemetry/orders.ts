import type { Shop } from '../../sampling/shop.ts';
import type { Window, WindowRun } from './assignment.ts';

/** One order in 200 fails, as in an ordinary shop; none is made to be slow. */
const FAILING_ONE_IN = 200;

export function ordinaryFate(order: number): 'refused' | 'plain' {
  return order % FAILING_ONE_IN === FAILING_ONE_IN - 1 ? 'refused' : 'plain';
}

/** Enough for a figure, however slow the machine is at the moment. */
const FEWEST = 20;
const MOST_PAUSES = 20;

export interface Orders {
  /** Keeps as many orders under way as there are customers, and counts what ends within the window, or one that is longer. */
  run(window: Window): Promise<WindowRun>;
  placed(): number;
}

export function createOrders(shop: Shop, concurrency: number): Orders {
  let next = 0;
  return {
    async run({ warmUpMs, measureMs }) {
      const first = next;
      let ended = 0;
      let isOver = false;
      const customer = async () => {
        while (!isOver) {
          const order = next++;
          await shop.ended(order, await shop.place(order));
          ended += 1;
        }
      };
      const window = async () => {
        await pause(warmUpMs);
        const [endedBefore, cpuBefore, startedMs] = [ended, process.cpuUsage(), performance.now()];
        for (let pauses = 0; pauses < MOST_PAUSES && (pauses === 0 || ended - endedBefore < FEWEST); pauses++)
          await pause(measureMs);
        const { user, system } = process.cpuUsage(cpuBefore);
        const orders = ended - endedBefore;
        isOver = true;
        return {
          ordersPerSecond: orders / ((performance.now() - startedMs) / 1_000),
          cpuMsPerOrder: (user + system) / 1_000 / orders,
        };
      };
      const [measured] = await Promise.all([window(), ...Array.from({ length: concurrency }, customer)]);
      return { ...measured, orders: next - first };
    },
    placed: () => next,
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
