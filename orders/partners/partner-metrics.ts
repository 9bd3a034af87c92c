import type { Attributes } from '@opentelemetry/api';
import { count, recordSeconds } from '../../shared/trace/meters.ts';
import type { UnavailableReason } from './errors.ts';

/** What came of a call. `aborted`: the caller cut it short. */
export type CallOutcome = 'done' | 'refused' | 'answer-unreadable' | 'aborted' | UnavailableReason;

const OUTCOMES: readonly CallOutcome[] = [
  'done',
  'refused',
  'answer-unreadable',
  'aborted',
  'error',
  'rate-limit',
  'no-answer',
  'circuit-open',
];
const RETRIED: readonly UnavailableReason[] = ['error', 'rate-limit', 'no-answer'];

/** Creates every series at 0, so that a partner's first failure is seen as an increase. */
export function createCallSeries(effects: Readonly<Record<string, readonly string[]>>): void {
  for (const [partner, own] of Object.entries(effects)) {
    for (const effect of own) {
      for (const outcome of OUTCOMES) count('throughline.partner.calls', { partner, effect, outcome }, 0);
      for (const reason of RETRIED) count('throughline.partner.retries', { partner, effect, reason }, 0);
    }
  }
}

export function countCall(
  partner: string,
  effect: string,
  { outcome, seconds }: { readonly outcome: CallOutcome; readonly seconds: number },
): void {
  const of: Attributes = { partner, effect };
  count('throughline.partner.calls', { ...of, outcome });
  recordSeconds('throughline.partner.call.duration', seconds, of);
}

export function countRetry(partner: string, effect: string, reason: UnavailableReason): void {
  count('throughline.partner.retries', { partner, effect, reason });
}
