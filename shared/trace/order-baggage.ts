import { type Baggage, type BaggageEntry, propagation } from '@opentelemetry/api';
import { ORDER_KEY, SAGA_ID } from './semconv.ts';

/**
 * Baggage that holds the order key, perhaps the saga's id, and nothing else: what nearly every message carries.
 *
 * Two strings in place of a map of entries; anything else that is set makes ordinary baggage of it.
 */
export class OrderBaggage implements Baggage {
  readonly orderKey: string;
  readonly sagaId: string | undefined;

  constructor(orderKey: string, sagaId?: string) {
    this.orderKey = orderKey;
    this.sagaId = sagaId;
  }

  getEntry(key: string): BaggageEntry | undefined {
    if (key === ORDER_KEY) return { value: this.orderKey };
    if (key === SAGA_ID && this.sagaId !== undefined) return { value: this.sagaId };
    return undefined;
  }

  getAllEntries(): [string, BaggageEntry][] {
    const entries: [string, BaggageEntry][] = [[ORDER_KEY, { value: this.orderKey }]];
    if (this.sagaId !== undefined) entries.push([SAGA_ID, { value: this.sagaId }]);
    return entries;
  }

  setEntry(key: string, entry: BaggageEntry): Baggage {
    return this.#ordinary().setEntry(key, entry);
  }

  removeEntry(key: string): Baggage {
    return this.#ordinary().removeEntry(key);
  }

  removeEntries(...keys: string[]): Baggage {
    return this.#ordinary().removeEntries(...keys);
  }

  clear(): Baggage {
    return propagation.createBaggage();
  }

  #ordinary(): Baggage {
    return propagation.createBaggage(Object.fromEntries(this.getAllEntries()));
  }
}
