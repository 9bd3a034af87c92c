import {
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhen,
  isBrokenCircuitError,
} from 'cockatiel';
import type { Logger } from '../../shared/index.ts';
import { PartnerUnavailableError } from './errors.ts';

export interface BreakerOptions {
  /** After so many failures in a row nothing is sent to the partner for a while. Default 10. */
  readonly breakAfterFailures?: number;
  /** How long that while is, in ms; then one call is let through to see. Default 5_000. */
  readonly breakMs?: number;
  readonly logger?: Logger | undefined;
}

export interface Breaker {
  /**
   * Runs `work` while the circuit is closed. A PartnerUnavailableError of it counts as a failure; anything else means that
   * the partner is there.
   *
   * Errors: those of `work`; PartnerUnavailableError (`circuit-open`, no effect) while the circuit is open.
   */
  run<T>(work: () => Promise<T>): Promise<T>;
}

/** One partner's circuit breaker. */
export function createBreaker(
  partner: string,
  { breakAfterFailures = 10, breakMs = 5_000, logger }: BreakerOptions,
): Breaker {
  let closesAtMs = 0;
  // A call that its caller cuts short tells nothing of the partner; as the one that was let through it must not close.
  const isFailure = (error: unknown) =>
    error instanceof PartnerUnavailableError || circuit.state === CircuitState.HalfOpen;
  const circuit = circuitBreaker(handleWhen(isFailure), {
    halfOpenAfter: breakMs,
    breaker: new ConsecutiveBreaker(breakAfterFailures),
  });
  circuit.onBreak(() => {
    closesAtMs = performance.now() + breakMs;
    logger?.warn({ partner }, 'the partner fails again and again; nothing is sent to it for a while');
  });
  circuit.onReset(() => logger?.info({ partner }, 'the partner answers again'));
  return {
    async run(work) {
      try {
        return await circuit.execute(work);
      } catch (cause) {
        if (!isBrokenCircuitError(cause)) throw cause;
        const retryAfterMs = Math.max(1, Math.ceil(closesAtMs - performance.now()));
        const title = 'it has failed again and again, and is left alone for a while';
        throw new PartnerUnavailableError(partner, title, {
          cause,
          reason: 'circuit-open',
          effect: 'none',
          retryAfterMs,
        });
      }
    },
  };
}
