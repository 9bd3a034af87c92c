import { fateOf } from './fate.ts';
import { type ShopOptions, startShop } from './shop.ts';

export interface LoadOptions extends Omit<ShopOptions, 'fateOf'> {
  /** Their number; the first is order 0. */
  readonly orders: number;
  readonly onProgress?: (ended: number) => void;
}

/**
 * Runs so many orders to their fated ends (fate.ts).
 *
 * Shape:  the sagas' ids, by the orders' numbers.
 * Errors: SagaTimeoutError; when an order does not end as it is fated to.
 */
export async function runLoad(options: LoadOptions): Promise<{ readonly sagaIds: readonly string[] }> {
  const shop = await startShop({ ...options, fateOf });
  try {
    const sagaIds: string[] = [];
    let next = 0;
    const customer = async () => {
      for (let order = next++; order < options.orders; order = next++) {
        const sagaId = await shop.place(order);
        sagaIds[order] = sagaId;
        await shop.ended(order, sagaId);
        options.onProgress?.(order);
      }
    };
    await Promise.all(Array.from({ length: options.concurrency }, customer));
    return { sagaIds };
  } finally {
    await shop.stop();
  }
}
