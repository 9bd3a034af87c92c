export {
  DEAD_LETTER_ATTEMPTS,
  DEAD_LETTER_ERROR_TYPE,
  DEAD_LETTER_MESSAGE_ID,
  DEAD_LETTER_REASON,
  DEAD_LETTER_SUBSCRIPTION,
  DEAD_LETTER_TRACEPARENT,
  fromDeadLetter,
} from './dead-letter.ts';
export { compose, type Delivery, type Handler, type JobDelivery, type Middleware } from './delivery.ts';
export { HandlerContractError, HandlerTimeoutError, UnknownJobError, WorkerStoppingError } from './errors.ts';
export {
  createWorker,
  DuplicateHandlerError,
  type HandleOptions,
  type StopReport,
  type Worker,
  type WorkerOptions,
} from './worker.ts';
