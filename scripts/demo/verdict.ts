import { judgeLedger } from '../../emulator/partners/judge.ts';
import type { LedgerRow } from '../../emulator/partners/ledger.ts';
import { findDisconnections, type SpanRecord } from '../../insight/index.ts';
import { sendNotification, setUpWorkspace } from '../../orders/contract.ts';
import type { OrderView } from '../../orders/http/schemas.ts';
import { JOB_ATTEMPT, JOB_NAME, JOB_OUTCOME, SAGA_OUTCOME } from '../../shared/trace/semconv.ts';
import type { Scenario } from './scenario.ts';

/** What became of an order, judged by the order service, the partners' ledger and its spans. */
export interface Verdict {
  readonly outcome: OrderView['state'] | 'never placed';
  readonly setUpAttempts: number;
  readonly compensations: readonly string[];
  readonly connected: boolean;
  /** Sentences; empty when everything is as it should be. */
  readonly problems: readonly string[];
}

export interface Evidence {
  readonly order: OrderView | undefined;
  readonly effects: readonly LedgerRow[];
  readonly spans: readonly SpanRecord[];
}

/** The saga's own span is told last; a confirmed order has its mail besides. */
export function isComplete(spans: readonly SpanRecord[], orderKey: string): boolean {
  const told = spans.find(({ attributes }) => attributes[SAGA_OUTCOME] !== undefined);
  const isMailed = spans.some(
    ({ attributes }) => attributes[JOB_NAME] === sendNotification.name && attributes[JOB_OUTCOME] === 'done',
  );
  if (!told || (told.attributes[SAGA_OUTCOME] === 'confirmed' && !isMailed)) return false;
  if (
    spans.some(
      (span) =>
        isAnsweredCall(span) &&
        !spans.some((child) => child.kind === 'SERVER' && child.parentSpanId === span.spanId),
    )
  )
    return false; // the partner's process has not told its side yet
  return findDisconnections(spans, orderKey).length === 0;
}

/** Of a partner, which names the call as its parent (before-commit: see named-in-requests.ts). */
function isAnsweredCall({ kind, attributes, status }: SpanRecord): boolean {
  return kind === 'CLIENT' && attributes['partner.effect'] !== undefined && status.code !== 'ERROR';
}

export function judge(scenario: Scenario, { order, effects, spans }: Evidence): Verdict {
  const outcome = order?.state ?? 'never placed';
  const setUpAttempts = attemptsOf(spans, setUpWorkspace.name);
  const compensations = undoneSteps(order);
  const disconnections = findDisconnections(spans, scenario.order.orderKey);
  const problems = [
    ...ledgerProblems(outcome, effects),
    ...disconnections.map(({ message }) => message),
    ...unexpected(scenario, { outcome, setUpAttempts, compensations }),
  ];
  return { outcome, setUpAttempts, compensations, connected: disconnections.length === 0, problems };
}

function attemptsOf(spans: readonly SpanRecord[], job: string): number {
  const attempts = spans.map(({ attributes }) =>
    attributes[JOB_NAME] === job ? Number(attributes[JOB_ATTEMPT] ?? 0) : 0,
  );
  return Math.max(0, ...attempts);
}

/** In the order in which they were undone. */
function undoneSteps(order: OrderView | undefined): string[] {
  const undone = order?.steps.filter(({ compensation }) => compensation.status === 'undone') ?? [];
  return undone
    .toSorted((one, other) =>
      (one.compensation.endedAt ?? '') < (other.compensation.endedAt ?? '') ? -1 : 1,
    )
    .map(({ name }) => name);
}

const CONFIRMED = [
  'account/verify',
  'card/redeem',
  'payment/capture',
  'payment/register-card',
  'registrar/acquire',
  'workspace/set-up',
  'mail/send',
];
/** What may stand although the order was compensated: it was never to be undone. */
const STAYS = new Set(['account/verify', 'payment/register-card', 'registrar/acquire']);

/** Every effect once; of an order that was compensated none stands that can be undone. */
export function ledgerProblems(outcome: Verdict['outcome'], effects: readonly LedgerRow[]): string[] {
  const { doubles, standing } = judgeLedger(effects);
  if (outcome === 'confirmed') {
    const missing = CONFIRMED.filter((effect) => !standing.includes(effect));
    return [...doubles, ...missing.map((effect) => `the partners' ledger does not show ${effect}`)];
  }
  if (outcome !== 'compensated') return [...doubles, `the order is ${outcome}, which is no end`];
  const left = standing.filter((effect) => !STAYS.has(effect));
  return [...doubles, ...left.map((effect) => `${effect} was not undone`)];
}

function unexpected(
  { expected }: Scenario,
  { outcome, setUpAttempts, compensations }: Pick<Verdict, 'outcome' | 'setUpAttempts' | 'compensations'>,
): string[] {
  if (!expected) return [];
  const problems: string[] = [];
  if (outcome !== expected.outcome) problems.push(`it ended ${outcome}; expected ${expected.outcome}`);
  if (expected.setUpAttempts !== undefined && setUpAttempts !== expected.setUpAttempts)
    problems.push(`the set-up took ${setUpAttempts} attempts; expected ${expected.setUpAttempts}`);
  const wanted = expected.compensations ?? [];
  if (compensations.join() !== wanted.join())
    problems.push(`undone were ${compensations.join(', ') || 'no steps'}; expected ${wanted.join(', ')}`);
  return problems;
}
