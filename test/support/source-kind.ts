import {
  createClientSource,
  createStreamingPullSource,
  type MessageSource,
  type PubSubConnection,
} from '../../shared/index.ts';

interface SourceSettings {
  readonly subscription: string;
  readonly ackDeadlineMs?: number;
}

/** One of the two ways in which messages reach a worker. */
export interface SourceKind {
  readonly name: string;
  create(connection: PubSubConnection, settings: SourceSettings): MessageSource;
}

export const STREAMING_PULL: SourceKind = {
  name: 'the streaming-pull source',
  create: createStreamingPullSource,
};
export const CLIENT: SourceKind = { name: "the source on Google's client", create: createClientSource };
export const SOURCE_KINDS: readonly SourceKind[] = [STREAMING_PULL, CLIENT];
