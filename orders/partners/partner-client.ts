import { SpanKind } from '@opentelemetry/api';
import {
  type CircuitBreakerPolicy,
  ConsecutiveBreaker,
  circuitBreaker,
  handleType,
  isBrokenCircuitError,
} from 'cockatiel';
import type { z } from 'zod';
import { backoffMs, inSpan, type Logger } from '../../shared/index.ts';
import { count } from '../../shared/trace/meters.ts';
import { errorType } from '../../shared/trace/record-error.ts';
import { PartnerAnswerError, PartnerRefusedError, PartnerUnavailableError } from './errors.ts';
import { post } from './post.ts';

/** What every call to a partner says besides what it asks for. */
export interface PartnerCall {
  readonly orderKey: string;
  /** Makes a repeated call harmless: stable over retries, restarts and redeliveries. */
  readonly idempotencyKey: string;
  readonly signal?: AbortSignal | undefined;
}

export interface PartnerClientOptions {
  readonly baseUrl: string;
  /** Of one attempt, in ms. Default 5_000. */
  readonly timeoutMs?: number;
  /** Attempts in one call, with backoff between them. Default 3. */
  readonly maxAttempts?: number;
  /** After so many failures in a row nothing is sent to the partner for a while. Default 10. */
  readonly breakAfterFailures?: number;
  /** How long that while is, in ms. Default 5_000. */
  readonly breakMs?: number;
  readonly logger?: Logger | undefined;
}

/** Asks one partner for effects: resolves with its answer, as `answer` reads it. */
export type Ask = <Answer extends z.ZodType>(
  effect: string,
  body: Readonly<Record<string, unknown>>,
  call: PartnerCall,
  answer: Answer,
) => Promise<z.output<Answer>>;

const BACKOFF = { maxAttempts: 3, minBackoffMs: 50, maxBackoffMs: 1_000 };
/** A longer wish of the partner's is for whoever can wait without holding anything: the saga, the worker. */
const LONGEST_WAIT_MS = 2_000;

/**
 * One partner over HTTP. A call is a CLIENT span `card.redeem` with its outcome; the requests below it, which may be
 * several, are traced by the instrumentation of `fetch`, which writes the context into their headers.
 *
 * Errors: PartnerRefusedError (4xx: final, nothing happened), PartnerUnavailableError (5xx, 429, no answer: may be tried
 *         again; unless its `effect` is `none` it may have happened), PartnerAnswerError; the reason of `call.signal`.
 */
export function createPartnerClient(partner: string, options: PartnerClientOptions): Ask {
  const breaker = createBreaker(partner, options);
  const url = new URL(options.baseUrl);
  return (effect, body, call, answer) => {
    const attributes = {
      'peer.service': partner,
      'server.address': url.hostname,
      'server.port': Number(url.port || 80),
      'partner.effect': effect,
    };
    return inSpan(`${partner}.${effect}`, { kind: SpanKind.CLIENT, attributes }, async (span) => {
      let outcome = 'done';
      let attempts = 0;
      try {
        return await withRetries(options, call.signal, async (attempt) => {
          attempts = attempt;
          const received = await throughBreaker(partner, breaker, () =>
            request(partner, effect, body, call, options),
          );
          return read(partner, effect, received, answer);
        });
      } catch (error) {
        outcome = errorType(error);
        throw error;
      } finally {
        span.setAttributes({ 'partner.outcome': outcome, 'partner.attempts': attempts });
        count('throughline.partner.calls', { partner, outcome });
      }
    });
  };
}

function createBreaker(
  partner: string,
  { breakAfterFailures = 10, breakMs = 5_000, logger }: PartnerClientOptions,
) {
  const breaker = circuitBreaker(handleType(PartnerUnavailableError), {
    halfOpenAfter: breakMs,
    breaker: new ConsecutiveBreaker(breakAfterFailures),
  });
  breaker.onBreak(() =>
    logger?.warn({ partner }, 'the partner fails again and again; nothing is sent to it for a while'),
  );
  breaker.onReset(() => logger?.info({ partner }, 'the partner answers again'));
  return breaker;
}

/** Errors: PartnerUnavailableError with no effect, while the circuit is open. */
async function throughBreaker<T>(
  partner: string,
  breaker: CircuitBreakerPolicy,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await breaker.execute(work);
  } catch (error) {
    if (!isBrokenCircuitError(error)) throw error;
    throw new PartnerUnavailableError(
      partner,
      'it has failed again and again; it is left alone for a while',
      {
        cause: error,
        effect: 'none',
        retryAfterMs: 1_000,
      },
    );
  }
}

/** Errors: the last attempt's. A failure after one that may have had its effect may have had it too. */
async function withRetries<T>(
  { maxAttempts = 3 }: PartnerClientOptions,
  signal: AbortSignal | undefined,
  work: (attempt: number) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      if (!(error instanceof PartnerUnavailableError) || error.effect === 'none') throw error;
      const waitMs = error.retryAfterMs ?? backoffMs(attempt, BACKOFF);
      if (attempt >= maxAttempts || waitMs > LONGEST_WAIT_MS) throw error;
      await pause(waitMs, signal);
    }
  }
}

/** Errors: the signal's reason. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      if (signal?.aborted) reject(signal.reason);
      else resolve();
    }
  });
}

async function request(
  partner: string,
  effect: string,
  body: Readonly<Record<string, unknown>>,
  { orderKey, idempotencyKey, signal }: PartnerCall,
  { baseUrl, timeoutMs = 5_000 }: PartnerClientOptions,
): Promise<unknown> {
  const { status, answer, retryAfterMs, title } = await post(`${baseUrl}/v1/${partner}/${effect}`, {
    headers: { 'idempotency-key': idempotencyKey },
    body: { ...body, orderKey },
    timeoutMs,
    signal,
  }).catch((cause) => {
    if (signal?.aborted) throw signal.reason;
    throw new PartnerUnavailableError(partner, 'no answer', { cause });
  });
  if (status < 400) return answer;
  if (status === 429)
    throw new PartnerUnavailableError(partner, title, { retryAfterMs: retryAfterMs ?? 1_000 });
  if (status >= 500) throw new PartnerUnavailableError(partner, title);
  throw new PartnerRefusedError(partner, status, title);
}

function read<Answer extends z.ZodType>(
  partner: string,
  effect: string,
  received: unknown,
  answer: Answer,
): z.output<Answer> {
  const parsed = answer.safeParse(received);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`);
  throw new PartnerAnswerError(partner, effect, issues.join('; '));
}
