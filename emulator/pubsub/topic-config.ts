import type { protos } from '@google-cloud/pubsub';
import { DAY_MS, fromMs, MINUTE_MS, readDuration } from './duration.ts';
import { refuseFields } from './supported-fields.ts';
import { type MaskRules, onlyMasked, readUpdateMask } from './update-mask.ts';

type ProtoTopic = protos.google.pubsub.v1.ITopic;

export interface TopicConfig {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Only seeking, which is refused, could show its effect; so it is checked and kept. */
  readonly messageRetentionMs: number | undefined;
}

const REFUSED = {
  schemaSettings: 'A topic with a schema',
  kmsKeyName: 'A topic with a customer-managed encryption key (kms_key_name)',
  messageStoragePolicy: 'A topic with a message storage policy',
  ingestionDataSourceSettings: 'A topic that ingests from a data source',
  messageTransforms: 'A topic with message transforms',
  tags: 'A topic with tags',
};

const MASK: MaskRules = {
  request: 'UpdateTopicRequest',
  updatable: new Set([
    'labels',
    'message_retention_duration',
    'schema_settings',
    'kms_key_name',
    'message_storage_policy',
    'ingestion_data_source_settings',
    'message_transforms',
  ]),
  immutable: new Set(['name', 'tags']),
};

export function readTopic(topic: ProtoTopic): TopicConfig {
  refuseFields(topic, REFUSED);
  const messageRetentionMs = readDuration(topic.messageRetentionDuration, {
    field: 'message_retention_duration',
    minimumMs: 10 * MINUTE_MS,
    maximumMs: 31 * DAY_MS,
  });
  return { name: topic.name ?? '', labels: topic.labels ?? {}, messageRetentionMs };
}

/** Only what the mask names counts; the rest of the request is ignored. */
export function updateTopic(
  current: TopicConfig,
  { topic, updateMask }: protos.google.pubsub.v1.IUpdateTopicRequest,
): TopicConfig {
  const paths = readUpdateMask(updateMask, MASK);
  const changed = readTopic(onlyMasked(topic, paths));
  return {
    name: current.name,
    labels: paths.has('labels') ? changed.labels : current.labels,
    messageRetentionMs: paths.has('message_retention_duration')
      ? changed.messageRetentionMs
      : current.messageRetentionMs,
  };
}

export function writeTopic({ name, labels, messageRetentionMs }: TopicConfig): ProtoTopic {
  const topic: ProtoTopic = { name, labels: { ...labels } };
  return messageRetentionMs === undefined
    ? topic
    : { ...topic, messageRetentionDuration: fromMs(messageRetentionMs) };
}
