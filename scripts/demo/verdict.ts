import type { LedgerRow } from '../../emulator/partners/ledger.ts';
import { findDisconnections, type SpanRecord } from '../../insight/index.ts';
import { sendNotification, setUpWorkspace } from '../../orders/contract.ts';
import { JOB_ATTEMPT, JOB_NAME, JOB_OUTCOME } from '../../shared/trace/semconv.ts';
import type { Scenario } from './scenario.ts';

/** What became of an order, judged by the partners' ledger and by its spans. */
export interface Verdict {
  readonly outcome: 'confirmed' | 'compensated' | 'unfinished';
  readonly setUpAttempts: number;
  readonly connected: boolean;
  /** Sentences; empty when everything is as it should be. */
  readonly problems: readonly string[];
}

const FORWARD = ['card/redeem', 'payment/settle'];
const UNDONE_BY: Readonly<Record<string, string>> = {
  'card/redeem': 'card/reactivate',
  'payment/settle': 'payment/refund',
};

/** The last job of every order is its mail: when that is done, and all its spans are here, the story is complete. */
export function isComplete(spans: readonly SpanRecord[], orderKey: string): boolean {
  const mailed = spans.some(
    ({ attributes }) => attributes[JOB_NAME] === sendNotification.name && attributes[JOB_OUTCOME] === 'done',
  );
  return mailed && findDisconnections(spans, orderKey).length === 0;
}

export function judge(
  scenario: Scenario,
  effects: readonly LedgerRow[],
  spans: readonly SpanRecord[],
): Verdict {
  const happened = effects.map(({ partner, effect }) => `${partner}/${effect}`);
  const outcome = outcomeOf(happened);
  const setUpAttempts = spans.reduce(
    (most, { attributes }) =>
      attributes[JOB_NAME] === setUpWorkspace.name
        ? Math.max(most, Number(attributes[JOB_ATTEMPT] ?? 0))
        : most,
    0,
  );
  const disconnections = findDisconnections(spans, scenario.order.orderKey);
  const problems = [
    ...ledgerProblems(outcome, happened),
    ...disconnections.map(({ message }) => message),
    ...unexpected(scenario, outcome, setUpAttempts),
  ];
  return { outcome, setUpAttempts, connected: disconnections.length === 0, problems };
}

function outcomeOf(happened: readonly string[]): Verdict['outcome'] {
  if (happened.includes('mail/order-confirmed')) return 'confirmed';
  return happened.includes('mail/order-cancelled') ? 'compensated' : 'unfinished';
}

/** Every effect once, and after a failure each undone once, the last first. */
function ledgerProblems(outcome: Verdict['outcome'], happened: readonly string[]): string[] {
  if (outcome === 'unfinished') return ['the order neither was confirmed nor was it compensated'];
  const forward = FORWARD.filter((effect) => happened.includes(effect));
  const expected =
    outcome === 'confirmed'
      ? [...FORWARD, 'workspace/set-up', 'mail/order-confirmed']
      : [...forward, ...forward.toReversed().map((effect) => UNDONE_BY[effect]), 'mail/order-cancelled'];
  if (expected.join() === happened.join()) return [];
  return [`the partners' ledger shows ${happened.join(', ')}; expected ${expected.join(', ')}`];
}

function unexpected({ expected }: Scenario, outcome: Verdict['outcome'], setUpAttempts: number): string[] {
  if (!expected) return [];
  const problems: string[] = [];
  if (outcome !== expected.outcome) problems.push(`it ended ${outcome}; expected ${expected.outcome}`);
  if (setUpAttempts !== expected.setUpAttempts) {
    problems.push(`the set-up took ${setUpAttempts} attempts; expected ${expected.setUpAttempts}`);
  }
  return problems;
}
