import { type Span, SpanKind } from '@opentelemetry/api';
import type { z } from 'zod';
import { inSpan, scrub } from '../../shared/index.ts';
import { withAttempts } from './attempts.ts';
import { type BreakerOptions, createBreaker } from './breaker.ts';
import { PartnerAnswerError, PartnerRefusedError, PartnerUnavailableError } from './errors.ts';
import { type CallOutcome, countCall, countRetry } from './partner-metrics.ts';
import { isUnsent, type Posted, post } from './post.ts';
import { withoutValues } from './quoted-values.ts';

/** What every call to a partner says besides what it asks for. */
export interface PartnerCall {
  readonly orderKey: string;
  /** Makes a repeated call harmless: stable over retries, restarts and redeliveries. */
  readonly idempotencyKey: string;
  readonly signal?: AbortSignal | undefined;
}

export interface PartnerClientOptions extends BreakerOptions {
  readonly baseUrl: string;
  /** Of one attempt, in ms. Default 5_000. */
  readonly timeoutMs?: number;
  /** Attempts in one call, with backoff between them. Default 3. */
  readonly maxAttempts?: number;
}

/** Asks one partner for effects: resolves with its answer, as `answer` reads it. */
export type Ask = <Answer extends z.ZodType>(
  effect: string,
  body: Readonly<Record<string, unknown>>,
  call: PartnerCall,
  answer: Answer,
) => Promise<z.output<Answer>>;

/**
 * One partner over HTTP. A call is a CLIENT span `card.redeem` with its outcome; the requests below it, which may be
 * several and all bear the same key, are traced by the instrumentation of `fetch` (post.ts).
 *
 * Errors: PartnerRefusedError (4xx: final), PartnerUnavailableError (5xx, 429, no answer: may be tried again; unless its
 *         `effect` is `none` it may have happened), PartnerAnswerError; the reason of `call.signal`.
 */
export function createPartnerClient(partner: string, options: PartnerClientOptions): Ask {
  const breaker = createBreaker(partner, options);
  const { hostname, port, protocol } = new URL(options.baseUrl);
  const attributes = {
    'peer.service': partner,
    'server.address': hostname,
    'server.port': Number(port || (protocol === 'https:' ? 443 : 80)),
  };
  return (effect, body, call, answer) => {
    const spanOptions = { kind: SpanKind.CLIENT, attributes: { ...attributes, 'partner.effect': effect } };
    return inSpan(`${partner}.${effect}`, spanOptions, (span) =>
      watched(span, { partner, effect, call, maxAttempts: options.maxAttempts ?? 3 }, async () => {
        const posted = await breaker.run(() => request(partner, effect, body, call, options));
        return read(partner, effect, accepted(partner, posted), answer);
      }),
    );
  };
}

interface Watched {
  readonly partner: string;
  readonly effect: string;
  readonly call: PartnerCall;
  readonly maxAttempts: number;
}

/** Attempts the work, and tells the span and the meter what came of it. */
async function watched<T>(
  span: Span,
  { partner, effect, call: { signal }, maxAttempts }: Watched,
  work: () => Promise<T>,
): Promise<T> {
  const startedMs = performance.now();
  let attempts = 0;
  let outcome: CallOutcome = 'done';
  const onRetry = (attempt: number, waitMs: number, { reason }: PartnerUnavailableError) => {
    countRetry(partner, effect, reason);
    span.addEvent('retry', { 'partner.attempt': attempt, 'partner.outcome': reason, wait_ms: waitMs });
  };
  try {
    return await withAttempts({ maxAttempts, signal, onRetry }, (attempt) => {
      attempts = attempt;
      return work();
    });
  } catch (error) {
    outcome = outcomeOf(error);
    throw error;
  } finally {
    span.setAttributes({ 'partner.outcome': outcome, 'partner.attempts': attempts });
    countCall(partner, effect, { outcome, seconds: (performance.now() - startedMs) / 1_000 });
  }
}

/** Shape: one of a few words, fit for a metric's label. */
function outcomeOf(error: unknown): CallOutcome {
  if (error instanceof PartnerUnavailableError) return error.reason;
  if (error instanceof PartnerRefusedError) return 'refused';
  return error instanceof PartnerAnswerError ? 'answer-unreadable' : 'aborted';
}

/** One attempt. Errors: PartnerUnavailableError without an answer and for 5xx; the signal's reason. */
async function request(
  partner: string,
  effect: string,
  body: Readonly<Record<string, unknown>>,
  { orderKey, idempotencyKey, signal }: PartnerCall,
  { baseUrl, timeoutMs = 5_000 }: PartnerClientOptions,
): Promise<Posted> {
  const posted = await post(`${baseUrl.replace(/\/+$/, '')}/v1/${partner}/${effect}`, {
    headers: { 'idempotency-key': idempotencyKey },
    body: { ...body, orderKey },
    timeoutMs,
    signal,
  }).catch((cause) => {
    if (signal?.aborted) throw signal.reason;
    const effect = isUnsent(cause) ? 'none' : 'unknown';
    throw new PartnerUnavailableError(partner, 'no answer', { cause, reason: 'no-answer', effect });
  });
  // A partner that quotes what it was sent must not bring it into logs, spans and dead letters.
  const title = scrub(withoutValues(posted.title, body));
  if (posted.status < 500) return { ...posted, title };
  const { retryAfterMs } = posted;
  throw new PartnerUnavailableError(partner, title, { reason: 'error', retryAfterMs });
}

/** What was answered, if it is no refusal. Errors: PartnerUnavailableError for 429, PartnerRefusedError for other 4xx. */
function accepted(partner: string, { status, answer, retryAfterMs = 1_000, title }: Posted): unknown {
  if (status < 400) return answer;
  if (status === 429)
    throw new PartnerUnavailableError(partner, title, { reason: 'rate-limit', retryAfterMs });
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
