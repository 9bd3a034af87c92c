export { type Config, ConfigError, type LogFormat, readConfig, secretsOf } from './config.ts';
export { ThroughlineError } from './errors.ts';
export { CAMPAIGN_ATTRIBUTE } from './job/campaign.ts';
export { defineJob, type Job, type JobDefinition, JobDefinitionError } from './job/define.ts';
export { AttributeConflictError, PayloadError } from './job/envelope.ts';
export { cancelled, deadLetter, done, type Outcome, retry } from './job/outcome.ts';
export { backoffMs, DEFAULT_RETRY, type RetryPolicy } from './job/retry.ts';
export { createLogger, type Logger, type LogOptions } from './log.ts';
export { OptionsError } from './options.ts';
export { ProfilerMissingError, ProfileUnderWayError } from './profile/errors.ts';
export { type ProfileKind, type TakeOptions, takeProfiles } from './profile/take.ts';
export { type BatchSinkOptions, createBatchSink } from './pubsub/batch-sink.ts';
export { type ClientSourceOptions, createClientSource } from './pubsub/client-source.ts';
export {
  type ConnectOptions,
  CredentialsMissingError,
  connect,
  ProjectUnknownError,
  type PubSubConnection,
} from './pubsub/connection.ts';
export { MessageLimitError, ReservedAttributeError } from './pubsub/limits.ts';
export type { MessageSink, OutgoingMessage } from './pubsub/message-sink.ts';
export type { IncomingMessage, MessageListener, MessageSource } from './pubsub/message-source.ts';
export { createStreamingPullSource, type StreamingPullOptions } from './pubsub/streaming-pull-source.ts';
export { SubscriptionMissingError } from './pubsub/subscription-check.ts';
export {
  applyTopology,
  diffTopology,
  formatChange,
  type JobTopologyOptions,
  jobTopology,
  type SubscriptionSpec,
  type Topology,
  type TopologyChange,
  TopologyConflictError,
  wayOut,
} from './pubsub/topology.ts';
export { RateClosedError, UnknownRateError } from './rate/errors.ts';
export { changeRate, createSharedRate, type SharedRate, type SharedRateOptions } from './rate/shared-rate.ts';
export { createScrub, type Scrub, type ScrubOptions, scrub } from './scrub.ts';
export { onShutdown } from './shutdown.ts';
export {
  type Carrier,
  captureCarrier,
  carrierSchema,
  restoreCarrier,
  spanContextOf,
} from './trace/carrier.ts';
export { inCompensationSpan } from './trace/compensation.ts';
export {
  emitReservedSpan,
  type ReservedSpan,
  reservedContext,
  reservedSpanSchema,
  reserveSpan,
} from './trace/durable-span.ts';
export { inSpan } from './trace/in-span.ts';
export { type LinkReason, links, linkTo } from './trace/links.ts';
export { extractContext, injectContext, type MessageContext } from './trace/message-context.ts';
export { orderKeyOf, withOrderKey } from './trace/order-key.ts';
export { createIdGenerator, type IdGenerator } from './trace/span-ids.ts';
export { startTelemetry, type Telemetry, type TelemetryOptions } from './trace/telemetry.ts';
