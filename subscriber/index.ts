export type { Claim, Refusal } from './claim.ts';
export {
  DEAD_LETTER_ATTEMPTS,
  DEAD_LETTER_ERROR_TYPE,
  DEAD_LETTER_MESSAGE_ID,
  DEAD_LETTER_REASON,
  DEAD_LETTER_SUBSCRIPTION,
  DEAD_LETTER_TRACEPARENT,
  fromDeadLetter,
} from './dead-letter.ts';
export {
  compose,
  type DeadLetterHook,
  type Delivery,
  type Handler,
  type JobDelivery,
  type Middleware,
} from './delivery.ts';
export {
  ClaimLostError,
  HandlerContractError,
  HandlerTimeoutError,
  InboxMissingError,
  UnknownJobError,
  WorkerLostError,
  WorkerStoppingError,
} from './errors.ts';
export { createInbox, type Inbox, type InboxOptions } from './inbox.ts';
export { type ReplyOutbox, replyToSaga } from './saga-reply.ts';
export {
  createWorker,
  DuplicateHandlerError,
  type HandleOptions,
  type StopReport,
  type Worker,
  type WorkerOptions,
} from './worker.ts';
