import { hash } from 'node:crypto';
import { CE_TIME, readHeader } from '../../shared/job/envelope.ts';
import { SAGA_ATTRIBUTE } from '../../shared/job/saga-result.ts';
import type { IncomingMessage } from '../../shared/pubsub/message-source.ts';
import { storableText } from '../../shared/storable.ts';
import {
  DEAD_LETTER_ATTEMPTS,
  DEAD_LETTER_ERROR_TYPE,
  DEAD_LETTER_MESSAGE_ID,
  DEAD_LETTER_REASON,
  DEAD_LETTER_SUBSCRIPTION,
  DEAD_LETTER_TRACEPARENT,
  FORWARDED_DELIVERY_COUNT,
  FORWARDED_PUBLISH_TIME,
  FORWARDED_SUBSCRIPTION,
  isForwarded,
  unburied,
} from '../dead-letter.ts';

/**
 * Who gave a message up: a worker of ours, which says why; Pub/Sub itself, when deliveries came to nothing too often; or
 * nobody who says so, when somebody published straight to the dead-letter topic.
 */
export type GivenUpBy = 'worker' | 'pubsub' | 'unknown';

/** A dead letter as it is stored. Texts are cut and cleaned so that PostgreSQL takes them; data and attributes are exact. */
export interface Letter {
  /** Follows from the death: the same however often the letter is published or delivered. */
  readonly letterId: string;
  readonly jobId: string;
  readonly jobType: string | undefined;
  readonly orderKey: string | undefined;
  readonly sagaId: string | undefined;
  /** At which it died. */
  readonly subscription: string | undefined;
  readonly givenUpBy: GivenUpBy;
  readonly reason: string;
  readonly errorType: string | undefined;
  readonly attempts: number | undefined;
  /** Of the message that died. */
  readonly messageId: string | undefined;
  readonly orderingKey: string | undefined;
  readonly data: Uint8Array;
  /** Of the message that died, without those that explain its death. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Of the dead delivery; where nobody says so, of whoever sent the message. */
  readonly traceparent: string | undefined;
  readonly publishedAtMs: number | undefined;
  readonly diedAtMs: number;
}

interface Death {
  readonly givenUpBy: GivenUpBy;
  readonly subscription?: string | undefined;
  readonly messageId?: string | undefined;
  readonly reason: string;
  readonly errorType?: string | undefined;
  readonly attempts?: number | undefined;
  readonly traceparent?: string | undefined;
  readonly publishedAt?: string | undefined;
}

/**
 * Reads what arrived on a dead-letter subscription, whoever wrote it.
 *
 * Errors: none; what is missing or makes no sense is undefined.
 */
export function readLetter(message: IncomingMessage, deadLetterSubscription: string): Letter {
  const death = deathOf(message.attributes);
  const { attributes, data } = unburied(message);
  const orderingKey = message.orderingKey || undefined;
  const header = readHeader(attributes);
  const identity =
    death.givenUpBy === 'worker'
      ? [death.subscription, death.messageId, orderingKey, sorted(attributes)]
      : [deadLetterSubscription, message.id];
  return {
    letterId: idOf(identity, data),
    jobId: text(header.jobId) || death.messageId || message.id,
    jobType: text(header.type, MAX_TYPE_CHARS),
    orderKey: text(header.orderKey),
    sagaId: text(attributes[SAGA_ATTRIBUTE]),
    subscription: death.subscription,
    givenUpBy: death.givenUpBy,
    reason: death.reason,
    errorType: death.errorType,
    attempts: death.attempts,
    messageId: death.messageId,
    orderingKey: text(orderingKey),
    data,
    attributes,
    traceparent:
      traceparentOf(death.traceparent) ??
      traceparentOf(attributes['traceparent']) ??
      traceparentOf(attributes['googclient_traceparent']),
    publishedAtMs: timeOf(death.publishedAt) ?? timeOf(attributes[CE_TIME]),
    diedAtMs: message.publishedAtMs,
  };
}

function deathOf(attributes: Readonly<Record<string, string>>): Death {
  if (isForwarded(attributes)) {
    const attempts = countOf(attributes[FORWARDED_DELIVERY_COUNT]);
    return {
      givenUpBy: 'pubsub',
      subscription: text(attributes[FORWARDED_SUBSCRIPTION]?.split('/').at(-1)), // it is the short name; in case it is not
      reason: `Pub/Sub gave up after ${attempts ?? 'too many'} deliveries that nobody acknowledged`,
      attempts,
      publishedAt: attributes[FORWARDED_PUBLISH_TIME],
    };
  }
  const subscription = text(attributes[DEAD_LETTER_SUBSCRIPTION]);
  const messageId = text(attributes[DEAD_LETTER_MESSAGE_ID]);
  if (subscription === undefined || messageId === undefined)
    return { givenUpBy: 'unknown', reason: 'nobody said why: it was published to the dead-letter topic' };
  return {
    givenUpBy: 'worker',
    subscription,
    messageId,
    reason: text(attributes[DEAD_LETTER_REASON], MAX_REASON_CHARS) ?? 'no reason was given',
    errorType: text(attributes[DEAD_LETTER_ERROR_TYPE]),
    attempts: countOf(attributes[DEAD_LETTER_ATTEMPTS]),
    traceparent: attributes[DEAD_LETTER_TRACEPARENT],
  };
}

/** A message dies once at a subscription. The whole of it is in the id, so that no forged letter can pass for another one. */
function idOf(identity: readonly unknown[], data: Uint8Array): string {
  return hash('sha256', `${JSON.stringify(identity)}\n${hash('sha256', data, 'hex')}`, 'hex').slice(0, 32);
}

function sorted(attributes: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(attributes).sort(([one], [other]) => (one < other ? -1 : 1));
}

/** What Pub/Sub allows are 1,024 bytes; an emulator may allow more. */
const MAX_TEXT_CHARS = 1_024;
/** It is in a B-tree, whose entries are at most 2,700 bytes. */
const MAX_TYPE_CHARS = 512;
const MAX_REASON_CHARS = 2_000;

function text(value: string | undefined, maxChars = MAX_TEXT_CHARS): string | undefined {
  return value === undefined ? undefined : storableText(value, maxChars) || undefined;
}

function countOf(value: string | undefined): number | undefined {
  const count = Number(value);
  return value !== undefined && /^\d{1,9}$/.test(value) ? count : undefined;
}

const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

function traceparentOf(value: string | undefined): string | undefined {
  return value !== undefined && TRACEPARENT.test(value) ? value : undefined;
}

/** 9999-12-31, the last day that RFC 3339 can say. */
const LAST_MS = 253_402_300_799_999;

function timeOf(value: string | undefined): number | undefined {
  const ms = value === undefined ? Number.NaN : Date.parse(value);
  return ms >= 0 && ms <= LAST_MS ? ms : undefined;
}
