import type { Carrier } from '../trace/carrier.ts';

/** `pause`: jobs wait until the fence is lifted. `cancel`: jobs that come while it stands never run. */
export type FenceAction = 'pause' | 'cancel';

/** Which jobs a fence stops. All that is given must match, and something must be given. */
export interface FenceTarget {
  /** The job's name without its version, like `mail.send`. */
  readonly job?: string;
  /** The campaign that the message names (`CAMPAIGN_ATTRIBUTE`). */
  readonly campaign?: string;
  /** `ce-subject`. */
  readonly orderKey?: string;
}

/** A durable rule that stops jobs. Times are RFC 3339. */
export interface Fence {
  readonly id: string;
  readonly action: FenceAction;
  readonly target: FenceTarget;
  /** Who added it, and why. */
  readonly actor: string;
  readonly reason: string;
  readonly addedAt: string;
  /** Trace context of whoever added it; empty when that was not traced. */
  readonly carrier: Carrier;
  /** Undefined: it stands. */
  readonly lifted: FenceLift | undefined;
}

export interface FenceLift {
  readonly at: string;
  readonly actor: string;
  readonly reason: string;
}

/** What fences look at in a job. */
export interface FencedFacts {
  readonly job: string | undefined;
  readonly campaign: string | undefined;
  readonly orderKey: string | undefined;
}

const PARTS = ['job', 'campaign', 'orderKey'] as const;
/** The part that fewest jobs share comes first: a fence is filed under the first one that it has. */
const FILED_BY = ['orderKey', 'campaign', 'job'] as const;

/** Fences that stand, filed so that a job is compared with few of them. */
export class FenceSet {
  readonly #files = { orderKey: new Map(), campaign: new Map(), job: new Map() } as {
    readonly [Part in (typeof FILED_BY)[number]]: Map<string, Fence[]>;
  };
  readonly #ids: string;

  constructor(fences: readonly Fence[]) {
    this.#ids = fences.map(({ id }) => id).join();
    for (const fence of fences) {
      const part = FILED_BY.find((name) => fence.target[name] !== undefined);
      if (part === undefined) continue; // would stop everything, and the table refuses it
      const file = this.#files[part];
      const key = fence.target[part] ?? '';
      const filed = file.get(key);
      if (filed) filed.push(fence);
      else file.set(key, [fence]);
    }
  }

  /** Of several fences one that cancels. */
  find(facts: FencedFacts): Fence | undefined {
    let found: Fence | undefined;
    for (const part of FILED_BY) {
      const value = facts[part];
      if (value === undefined) continue;
      for (const fence of this.#files[part].get(value) ?? []) {
        if (!isStopped(facts, fence.target)) continue;
        if (fence.action === 'cancel') return fence;
        found ??= fence;
      }
    }
    return found;
  }

  equals(other: FenceSet): boolean {
    return this.#ids === other.#ids; // fences are lifted, never changed
  }
}

function isStopped(facts: FencedFacts, target: FenceTarget): boolean {
  return PARTS.every((part) => target[part] === undefined || target[part] === facts[part]);
}

/** For people and spans: `job=mail.send campaign=autumn`. */
export function describeTarget({ job, campaign, orderKey }: FenceTarget): string {
  const parts = [
    job !== undefined && `job=${job}`,
    campaign !== undefined && `campaign=${campaign}`,
    orderKey !== undefined && `order=${orderKey}`,
  ];
  return parts.filter((part) => part !== false).join(' ');
}
