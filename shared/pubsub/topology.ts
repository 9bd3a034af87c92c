import { ThroughlineError } from '../errors.ts';
import { type PubSubConnection, topicPath } from './connection.ts';
import { grpcCode, grpcStatus } from './grpc-status.ts';
import { readSubscription, readTopic, type SubscriptionState, subscriptionRequest } from './topology-wire.ts';

/** The topics and subscriptions that a system needs, as data. Names are short ones. */
export interface Topology {
  readonly topics: readonly TopicSpec[];
  readonly subscriptions: readonly SubscriptionSpec[];
}

export interface TopicSpec {
  readonly name: string;
}

export interface SubscriptionSpec {
  readonly name: string;
  readonly topic: string;
  /** 10_000 to 600_000. Default 30_000. */
  readonly ackDeadlineMs?: number;
  /** Keeps messages with one ordering key in order. Cannot be changed later. Default false. */
  readonly enableMessageOrdering?: boolean;
  /** Pub/Sub's filter language, at most 256 bytes. Cannot be changed later. Default: everything. */
  readonly filter?: string;
  /** After so many deliveries (5 to 100) Pub/Sub itself forwards the message. Without it deliveries are not counted. */
  readonly deadLetter?: { readonly topic: string; readonly maxDeliveryAttempts: number };
  /** Pub/Sub's own backoff, 0 to 600_000 each. Default: at once, because workers postpone messages themselves. */
  readonly retryPolicy?: { readonly minBackoffMs: number; readonly maxBackoffMs: number };
  /** How long unacked messages are kept: 600_000 to 2_678_400_000. Default 604_800_000 (7 days). */
  readonly messageRetentionMs?: number;
}

/** One difference between what is declared and what is there. */
export interface TopologyChange {
  /** `conflict`: a field that Pub/Sub does not let change; the resource has to be replaced by hand. */
  readonly action: 'create' | 'update' | 'conflict';
  readonly resource: 'topic' | 'subscription';
  readonly name: string;
  /** For updates and conflicts. */
  readonly fields: readonly FieldChange[];
}

export interface FieldChange {
  readonly field: string;
  readonly from: unknown;
  readonly to: unknown;
}

/** The declared topology cannot be reached by updates; nothing was changed. */
export class TopologyConflictError extends ThroughlineError {
  override readonly name = 'TopologyConflictError';
  readonly code = 'TOPOLOGY_CONFLICT';
  readonly conflicts: readonly TopologyChange[];

  constructor(conflicts: readonly TopologyChange[]) {
    super(`Pub/Sub does not let these change:\n${conflicts.map((c) => `  ${formatChange(c)}`).join('\n')}`);
    this.conflicts = conflicts;
  }
}

const IMMUTABLE = new Set(['topic', 'filter', 'enableMessageOrdering']);

/** What a person has to do about what Pub/Sub does not let change; undefined when an update does it. */
export function wayOut({ action, name, fields }: TopologyChange): string | undefined {
  if (action !== 'conflict') return undefined;
  const fixed = fields.flatMap(({ field }) => (IMMUTABLE.has(field) ? [field] : []));
  return `Pub/Sub lets nobody change ${fixed.join(' and ')} of a subscription: declare one under a new name and apply it, let the workers use it once ${name} is drained, then delete ${name}. To delete ${name} and apply is quicker, and loses what it has not delivered.`;
}

/** What `applyTopology` would do; empty when everything is as declared. Resources that are not declared are left alone. */
export async function diffTopology(
  connection: PubSubConnection,
  topology: Topology,
): Promise<TopologyChange[]> {
  const topics = await Promise.all(topology.topics.map((spec) => diffTopic(connection, spec)));
  const subscriptions = await Promise.all(
    topology.subscriptions.map((spec) => diffSubscription(connection, spec)),
  );
  return [...topics, ...subscriptions].filter((change) => change !== undefined);
}

/**
 * Creates and updates what differs, topics first. Idempotent, and safe to run from several processes at once.
 *
 * Shape:  the changes that were made.
 * Errors: TopologyConflictError before anything is changed; what Pub/Sub answers.
 */
export async function applyTopology(
  connection: PubSubConnection,
  topology: Topology,
): Promise<TopologyChange[]> {
  const changes = await diffTopology(connection, topology);
  const conflicts = changes.filter(({ action }) => action === 'conflict');
  if (conflicts.length > 0) throw new TopologyConflictError(conflicts);
  const specs = new Map(topology.subscriptions.map((spec) => [spec.name, spec]));
  for (const change of changes.filter(({ resource }) => resource === 'topic')) {
    const name = topicPath(connection.projectId, change.name);
    await createOnce(() => connection.publisher.createTopic({ name }));
  }
  for (const change of changes.filter(({ resource }) => resource === 'subscription')) {
    const spec = specs.get(change.name);
    if (spec) await applySubscription(connection, spec, change);
  }
  return changes;
}

/** One line for people: `~ subscription workspace-jobs-worker: ackDeadlineMs 10000 → 30000`. */
export function formatChange({ action, resource, name, fields }: TopologyChange): string {
  const sign = { create: '+', update: '~', conflict: '!' }[action];
  const details = fields.map(
    ({ field, from, to }) => `${field} ${JSON.stringify(from)} → ${JSON.stringify(to)}`,
  );
  return `${sign} ${resource} ${name}${details.length > 0 ? `: ${details.join(', ')}` : ''}`;
}

async function diffTopic(
  connection: PubSubConnection,
  { name }: TopicSpec,
): Promise<TopologyChange | undefined> {
  const found = await readTopic(connection, name);
  return found ? undefined : { action: 'create', resource: 'topic', name, fields: [] };
}

async function diffSubscription(
  connection: PubSubConnection,
  spec: SubscriptionSpec,
): Promise<TopologyChange | undefined> {
  const { name } = spec;
  const found = await readSubscription(connection, name);
  if (!found) return { action: 'create', resource: 'subscription', name, fields: [] };
  const wanted = withDefaults(spec);
  const fields = (Object.keys(wanted) as (keyof typeof wanted)[])
    .filter((field) => JSON.stringify(found[field]) !== JSON.stringify(wanted[field]))
    .map((field) => ({ field, from: found[field], to: wanted[field] }));
  if (fields.length === 0) return undefined;
  const action = fields.some(({ field }) => IMMUTABLE.has(field)) ? 'conflict' : 'update';
  return { action, resource: 'subscription', name, fields };
}

async function applySubscription(
  connection: PubSubConnection,
  spec: SubscriptionSpec,
  change: TopologyChange,
): Promise<void> {
  const { request, maskOf } = subscriptionRequest(connection, spec.name, withDefaults(spec));
  if (change.action === 'create') {
    await createOnce(() => connection.subscriber.createSubscription(request));
    return;
  }
  const paths = change.fields.map(({ field }) => maskOf(field));
  await connection.subscriber.updateSubscription({ subscription: request, updateMask: { paths } });
}

/** Another process may have been faster. */
async function createOnce(create: () => Promise<unknown>): Promise<void> {
  try {
    await create();
  } catch (error) {
    if (grpcCode(error) !== grpcStatus.ALREADY_EXISTS) throw error;
  }
}

/** What a subscription is created as: every field that the declaration leaves open is there. */
export function withDefaults(spec: SubscriptionSpec): SubscriptionState {
  return {
    topic: spec.topic,
    ackDeadlineMs: spec.ackDeadlineMs ?? 30_000,
    enableMessageOrdering: spec.enableMessageOrdering ?? false,
    filter: spec.filter ?? '',
    deadLetter: spec.deadLetter && {
      topic: spec.deadLetter.topic,
      maxDeliveryAttempts: spec.deadLetter.maxDeliveryAttempts,
    },
    retryPolicy: spec.retryPolicy && {
      minBackoffMs: spec.retryPolicy.minBackoffMs,
      maxBackoffMs: spec.retryPolicy.maxBackoffMs,
    },
    messageRetentionMs: spec.messageRetentionMs ?? 604_800_000,
  };
}

export interface JobTopologyOptions {
  readonly topic: string;
  /** Default `{topic}-worker`. */
  readonly subscription?: string;
  /** Default `{topic}-dead-letters`, as a topic and as the subscription that keeps what is published to it. */
  readonly deadLetterTopic?: string;
  /** Default: not ordered. */
  readonly ordered?: boolean;
  /** Pub/Sub's own forwarding, the net under the worker's: for messages that kill their worker. 5 to 100. Default 20. */
  readonly maxDeliveryAttempts?: number;
  readonly filter?: string;
}

/** The usual shape: a topic of jobs, its worker's subscription, and a dead-letter topic whose subscription keeps what dies for 7 days. */
export function jobTopology(options: JobTopologyOptions): Topology {
  const deadLetterTopic = options.deadLetterTopic ?? `${options.topic}-dead-letters`;
  return {
    topics: [{ name: options.topic }, { name: deadLetterTopic }],
    subscriptions: [
      {
        name: options.subscription ?? `${options.topic}-worker`,
        topic: options.topic,
        enableMessageOrdering: options.ordered ?? false,
        ...(options.filter !== undefined && { filter: options.filter }),
        deadLetter: { topic: deadLetterTopic, maxDeliveryAttempts: options.maxDeliveryAttempts ?? 20 },
      },
      { name: deadLetterTopic, topic: deadLetterTopic },
    ],
  };
}
