import type { Context } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { activeFollower } from '../../profile/active-work.ts';

/** Tells a profile, while one is taken, whose work begins. */
export class ProfiledContextManager extends AsyncLocalStorageContextManager {
  override with<Args extends unknown[], Work extends (...args: Args) => ReturnType<Work>>(
    next: Context,
    work: Work,
    thisArg?: ThisParameterType<Work>,
    ...args: Args
  ): ReturnType<Work> {
    const follower = activeFollower();
    if (!follower) return super.with(next, work, thisArg, ...args);
    return follower.run(follower.recorder.workIn(next), () => super.with(next, work, thisArg, ...args));
  }
}
