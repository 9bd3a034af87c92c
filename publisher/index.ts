export { type BatchingOptions, OrderingKeyPausedError } from './batcher.ts';
export {
  type BulkItem,
  createPublisher,
  type Published,
  type Publisher,
  type PublisherOptions,
  type PublishOptions,
} from './publish.ts';
