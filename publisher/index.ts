export type { StoredMessage } from '../shared/job/stored-message.ts';
export { type BatchingOptions, OrderingKeyPausedError } from './batcher.ts';
export { createMessageOutbox, type MessageOutbox } from './message-outbox.ts';
export {
  createOutbox,
  type EnqueueItem,
  type EnqueueOptions,
  type Outbox,
  type OutboxOptions,
  type OutboxRow,
  outboxRow,
} from './outbox.ts';
export { observeOutbox } from './outbox-metrics.ts';
export { finishJob, type OutboxDepth, outboxDepth } from './outbox-rows.ts';
export {
  type BulkItem,
  createPublisher,
  type Published,
  type Publisher,
  type PublisherOptions,
  type PublishOptions,
} from './publish.ts';
export { createRelay, type Relay, type RelayOptions } from './relay.ts';
export type { RelayBatch } from './relay-batch.ts';
export {
  defineSchedule,
  type Firing,
  type Missed,
  type Schedule,
  type ScheduleDefinition,
  ScheduleDefinitionError,
} from './schedule/define.ts';
export {
  ScheduleNotPausedError,
  SchedulePausedError,
  UnknownScheduleError,
} from './schedule/errors.ts';
export {
  listSchedules,
  pauseSchedule,
  removeSchedule,
  resumeSchedule,
  type ScheduleAction,
  type ScheduleReceipt,
} from './schedule/operate.ts';
export type { ScheduleView } from './schedule/schedule-rows.ts';
export { createScheduler, type Scheduler, type SchedulerOptions } from './schedule/scheduler.ts';
