import type { Fence } from '../shared/fence/fence.ts';
import { traceIdOf } from './trace-id.ts';

/** A fence for programs. `traceId` is the one of whoever added it. */
export function fenceDocument(fence: Fence) {
  const { id, action, target, actor, reason, addedAt, carrier, lifted } = fence;
  return {
    fenceId: id,
    action,
    job: target.job,
    campaign: target.campaign,
    orderKey: target.orderKey,
    actor,
    reason,
    addedAt,
    liftedAt: lifted?.at,
    liftedBy: lifted?.actor,
    liftReason: lifted?.reason,
    traceId: traceIdOf(carrier['traceparent']),
  };
}
