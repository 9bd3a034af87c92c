import type { Attributes } from '@opentelemetry/api';
import { count, recordSeconds } from '../../shared/trace/meters.ts';
import { SAGA_FAILED_STEP, SAGA_NAME, SAGA_OUTCOME, SAGA_STEP } from '../../shared/trace/semconv.ts';
import type { ActiveSaga } from './active-saga.ts';
import type { Saga } from './define.ts';
import type { AttemptSpan, SagaEvent } from './event.ts';
import type { SagaPhase, SagaState } from './machine.ts';
import { signalWaitMs } from './waits.ts';

const STARTED = 'throughline.sagas.started';
const FAILED = 'throughline.sagas.failed';
const ENDED = 'throughline.sagas.ended';
const FAILURE_OUTCOMES = ['compensated', 'stuck', 'resolved'] as const;

/** Creates every series of these sagas at 0, so that the first failure is seen as an increase. */
export function createSagaSeries(definitions: readonly Saga[]): void {
  for (const definition of definitions) {
    const labels = labelsOf(definition);
    count(STARTED, labels.saga, 0);
    count('throughline.sagas.taken_over', labels.saga, 0);
    count(ENDED, endLabels(definition, 'confirmed', undefined), 0);
    for (const { name } of definition.steps) {
      count(FAILED, failLabels(definition, name), 0);
      for (const outcome of FAILURE_OUTCOMES) count(ENDED, endLabels(definition, outcome, name), 0);
    }
  }
}

export function countStarted(definition: Saga): void {
  count(STARTED, labelsOf(definition).saga);
}

/** What a checkpoint tells once it is stored: attempts that ended, a saga that failed, one that ended or got stuck. */
export function countCheckpoint(
  saga: ActiveSaga,
  events: readonly SagaEvent[],
  { before, after, nowMs }: { readonly before: SagaState; readonly after: SagaState; readonly nowMs: number },
): void {
  const { definition } = saga;
  for (const event of events) if ('endMs' in event) recordAttempt(saga, event);
  const failedStep = after.failure?.step;
  if (failedStep !== undefined && !before.failure) count(FAILED, failLabels(definition, failedStep));
  const { phase } = after;
  if (phase === before.phase || phase === 'running' || phase === 'compensating') return;
  count(ENDED, endLabels(definition, phase, failedStep));
  if (phase === 'stuck') return;
  const seconds = (nowMs - saga.span.startMs - signalWaitMs(saga)) / 1_000;
  recordSeconds('throughline.saga.duration', Math.max(0, seconds), durationLabels(definition, phase));
}

type Ended = Extract<SagaEvent, AttemptSpan>;

function recordAttempt({ definition, shape }: ActiveSaga, event: Ended): void {
  const labels = labelsOf(definition).steps.get(event.step);
  if (!labels) return;
  const { startMs, endMs, waitMs = 0 } = event;
  const isUndo = event.kind === 'undone' || event.kind === 'undo-failed';
  const { kind, compensation } = shape.steps.find(({ name }) => name === event.step) ?? {};
  const isJob = isUndo ? compensation === 'job' : kind === 'job';
  // A worker works while it is waited for; a customer's time is not the step's.
  const seconds = Math.max(0, endMs - startMs - (isJob ? 0 : waitMs)) / 1_000;
  if (isUndo) recordSeconds('throughline.saga.compensation.duration', seconds, labels.undo[outcomeOf(event)]);
  else recordSeconds('throughline.saga.step.duration', seconds, labels.step[outcomeOf(event)]);
  if (waitMs > 0)
    recordSeconds('throughline.saga.wait.duration', waitMs / 1_000, isJob ? labels.worker : labels.signal);
}

function outcomeOf(event: Ended): 'succeeded' | 'retried' | 'failed' {
  if (event.kind === 'completed' || event.kind === 'undone') return 'succeeded';
  return event.retryAtMs === undefined ? 'failed' : 'retried';
}

/** Made once a definition: a saga is many thousands of attempts a second. */
interface SagaLabels {
  readonly saga: Attributes;
  readonly steps: ReadonlyMap<string, StepLabels>;
}

interface StepLabels {
  readonly step: ByOutcome;
  readonly undo: ByOutcome;
  readonly signal: Attributes;
  readonly worker: Attributes;
}

type ByOutcome = Readonly<Record<'succeeded' | 'retried' | 'failed', Attributes>>;

const known = new WeakMap<Saga, SagaLabels>();

function labelsOf(definition: Saga): SagaLabels {
  let labels = known.get(definition);
  if (!labels) {
    const saga = { [SAGA_NAME]: definition.name };
    labels = { saga, steps: new Map(definition.steps.map(({ name }) => [name, stepLabels(saga, name)])) };
    known.set(definition, labels);
  }
  return labels;
}

function stepLabels(saga: Attributes, name: string): StepLabels {
  const own = { ...saga, [SAGA_STEP]: name };
  const byOutcome = (succeeded: string) => ({
    succeeded: { ...own, outcome: succeeded },
    retried: { ...own, outcome: 'retried' },
    failed: { ...own, outcome: 'failed' },
  });
  return {
    step: byOutcome('completed'),
    undo: byOutcome('undone'),
    signal: { ...own, waits_for: 'signal' },
    worker: { ...own, waits_for: 'worker' },
  };
}

function failLabels({ name }: Saga, step: string): Attributes {
  return { [SAGA_NAME]: name, [SAGA_FAILED_STEP]: step };
}

function endLabels({ name }: Saga, outcome: SagaPhase, failedStep = ''): Attributes {
  return { [SAGA_NAME]: name, [SAGA_OUTCOME]: outcome, [SAGA_FAILED_STEP]: failedStep };
}

function durationLabels({ name }: Saga, outcome: SagaPhase): Attributes {
  return { [SAGA_NAME]: name, [SAGA_OUTCOME]: outcome };
}
