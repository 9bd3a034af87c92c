export type { CompensationProgress } from './compensation-progress.ts';
export {
  type AttemptPolicy,
  type Compensation,
  type CompensationContext,
  defineSaga,
  type JobStep,
  type RunStep,
  type Saga,
  SagaDefinitionError,
  type SagaFailure,
  type StepContext,
  type TransactionStep,
} from './define.ts';
export { type OperatorNote, readSagaDetail, type SagaDetail } from './detail.ts';
export { type BeginOptions, createSagaEngine, type SagaEngine, type SagaEngineOptions } from './engine.ts';
export {
  JobResultError,
  JobTimeoutError,
  ProcessLostError,
  SagaInputError,
  SignalTimeoutError,
  StepTimeoutError,
  UnknownDefinitionError,
  UnknownSagaError,
  UnknownSignalError,
} from './errors.ts';
export type { OperatorAction, SagaEvent, StoredError } from './event.ts';
export type { SagaOutcome } from './machine.ts';
export {
  type OperateOptions,
  type OperatorReceipt,
  operateSaga,
  type PendingAction,
  pendingAction,
  SagaActionPendingError,
  SagaNotStuckError,
} from './operate.ts';
export { readOutline, type SagaOutline } from './outline.ts';
export {
  describeProgress,
  type SagaProgress,
  type SignalAwaited,
  type StepProgress,
} from './progress.ts';
export { observeSagas } from './saga-gauges.ts';
export { linkToSaga, type SignalReceipt } from './signals.ts';
export { skip } from './skip.ts';
export { suspend } from './suspend.ts';
export {
  listSagas,
  readSaga,
  SAGA_STATES,
  type SagaFilter,
  type SagaSummary,
  SagaTimeoutError,
  type SagaView,
} from './view.ts';
