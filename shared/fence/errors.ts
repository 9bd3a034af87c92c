import { ThroughlineError } from '../errors.ts';
import { describeTarget, type Fence, type FenceLift } from './fence.ts';

/** Of two operators at once the second is told what the first has done. */
export class FenceExistsError extends ThroughlineError {
  override readonly name = 'FenceExistsError';
  readonly code = 'FENCE_EXISTS';
  readonly fence: Fence;

  constructor(fence: Fence) {
    const { id, action, target, actor, addedAt, reason } = fence;
    super(
      `fence ${id} stands already: ${action} ${describeTarget(target)}, by ${actor} at ${addedAt}: ${reason}`,
    );
    this.fence = fence;
  }
}

export class UnknownFenceError extends ThroughlineError {
  override readonly name = 'UnknownFenceError';
  readonly code = 'FENCE_UNKNOWN';
  readonly fenceId: string;

  constructor(fenceId: string) {
    super(`there is no fence ${fenceId}`);
    this.fenceId = fenceId;
  }
}

export class FenceLiftedError extends ThroughlineError {
  override readonly name = 'FenceLiftedError';
  readonly code = 'FENCE_LIFTED';
  readonly fenceId: string;
  readonly lift: FenceLift;

  constructor(fenceId: string, lift: FenceLift) {
    super(`fence ${fenceId} was lifted already, by ${lift.actor} at ${lift.at}: ${lift.reason}`);
    this.fenceId = fenceId;
    this.lift = lift;
  }
}
