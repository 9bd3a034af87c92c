import type { Database } from '../../shared/storage/database.ts';
import {
  addFence,
  createFences,
  createInbox,
  type Fence,
  type Fences,
  type FencesOptions,
  type FenceTarget,
  type JobDelivery,
  liftFence,
  type WorkerOptions,
} from '../../subscriber/index.ts';
import type { Channel } from './channel.ts';

export const ADA = { actor: 'ada', reason: 'ticket 4711' };
/** So long that nothing but a wake can bring a paused job back within a test, and nothing but a notification a fence. */
const NEVER_MS = 600_000;

/** Fences that hear of changes by notification alone, unless told otherwise. */
export function deafFences(database: Database, options: Partial<FencesOptions> = {}): Fences {
  return createFences({
    ...{ database, pollMs: NEVER_MS, trustMs: NEVER_MS + 1, pausedRetryMs: NEVER_MS },
    ...options,
  });
}

/** Inbox and fences of one worker on `channel`. */
export function fencedBy(
  channel: Channel,
  database: Database,
  fences: Fences = deafFences(database),
): Partial<WorkerOptions> & { readonly fences: Fences } {
  return { fences, inbox: createInbox({ database, consumer: channel.subscription, claimMs: 5_000 }) };
}

/** Adds a fence. `seenBy`: resolves once these have seen it. */
export async function fenceOff(
  database: Database,
  action: 'pause' | 'cancel',
  target: FenceTarget,
  ...seenBy: readonly Fences[]
): Promise<Fence> {
  const seen = Promise.all(seenBy.map(changed));
  const { fence } = await addFence(database, { action, target, ...ADA });
  await seen;
  return fence;
}

export async function lift(database: Database, fence: Fence, ...seenBy: readonly Fences[]): Promise<void> {
  const seen = Promise.all(seenBy.map(changed));
  await liftFence(database, { fenceId: fence.id, actor: 'grace', reason: 'all is well' });
  await seen;
}

/** Resolves when other fences stand than before. */
export function changed(fences: Fences): Promise<void> {
  return new Promise((resolve) => {
    const stop = fences.onChange(() => {
      stop();
      resolve();
    });
  });
}

/** A handler's delivery, whatever its payload. */
export type AnyDelivery = JobDelivery<{ text: string }>;
