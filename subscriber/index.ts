export { FenceExistsError, FenceLiftedError, UnknownFenceError } from '../shared/fence/errors.ts';
export type { Fence, FenceAction, FencedFacts, FenceLift, FenceTarget } from '../shared/fence/fence.ts';
export {
  type AddFenceOptions,
  addFence,
  type FenceReceipt,
  type LiftFenceOptions,
  type ListFencesOptions,
  liftFence,
  listFences,
} from '../shared/fence/operate.ts';
export { type Asker, type AskerOptions, createUncertainAsker } from './campaign/ask.ts';
export { type DeliverOptions, handleDeliveries } from './campaign/deliver.ts';
export { type CampaignLedger, createCampaignLedger } from './campaign/ledger.ts';
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
export { type DropOptions, dropDeadLetter } from './dead-letters/drop.ts';
export {
  DeadLetterInputError,
  DeadLetterRefusedError,
  DeadLetterSettledError,
  JobCancelledError,
  JobDoneError,
  JobHeldError,
  NotSendableError,
  UnknownDeadLetterError,
} from './dead-letters/errors.ts';
export {
  countDeadLetters,
  LETTER_STATES,
  type LetterFilter,
  type LetterState,
  type LetterSummary,
  type LetterView,
  listDeadLetters,
  readDeadLetter,
} from './dead-letters/find.ts';
export {
  type BulkDropOptions,
  type BulkLetter,
  type BulkOptions,
  type BulkRedriveOptions,
  type BulkReport,
  dropDeadLetters,
  redriveDeadLetters,
} from './dead-letters/in-bulk.ts';
export {
  createDeadLetterKeeper,
  type DeadLetterKeeper,
  type DeadLetterKeeperOptions,
  type KeptLetter,
} from './dead-letters/keeper.ts';
export {
  type LetterReceipt,
  type MessageOutbox,
  type RedriveOptions,
  redriveDeadLetter,
} from './dead-letters/redrive.ts';
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
  FencedError,
  FencesUnknownError,
  HandlerContractError,
  HandlerTimeoutError,
  InboxMissingError,
  UnknownJobError,
  WorkerLostError,
  WorkerStoppingError,
} from './errors.ts';
export { createFences, type Fences, type FencesOptions, type Watched } from './fence.ts';
export { observeFences } from './fence-gauge.ts';
export { createInbox, type Inbox, type InboxOptions } from './inbox.ts';
export { type ChangeLimitOptions, changeLimit } from './limits/change.ts';
export { LimitedError, LimitKeyError, UnknownLimitError } from './limits/errors.ts';
export type { ConcurrencyLimit, JobLimit, LimitedFacts, RateLimit } from './limits/limit.ts';
export { createLimits, type Limits, type LimitsOptions } from './limits/limits.ts';
export { type ReplyOptions, type ReplyOutbox, replyToSaga } from './saga-reply.ts';
export {
  createWorker,
  DuplicateHandlerError,
  type HandleOptions,
  type StopReport,
  type Worker,
  type WorkerOptions,
} from './worker.ts';
