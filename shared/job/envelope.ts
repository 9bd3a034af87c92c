import type { z } from 'zod';
import { ThroughlineError } from '../errors.ts';
import { errorMessage } from '../trace/record-error.ts';
import type { Job } from './define.ts';

/**
 * A job on the wire: CloudEvents 1.0 over Pub/Sub, binary mode.
 *
 * Shape:  data = the payload as JSON; attributes = the event's context, prefixed `ce-`, and `content-type`.
 * Source: CloudEvents 1.0.2, Google Cloud Pub/Sub protocol binding.
 */
export const CE_SPECVERSION = 'ce-specversion';
export const CE_ID = 'ce-id';
export const CE_TYPE = 'ce-type';
export const CE_SOURCE = 'ce-source';
export const CE_TIME = 'ce-time';
export const CE_SUBJECT = 'ce-subject';
export const CONTENT_TYPE = 'content-type';
const JSON_CONTENT = 'application/json';
/** What a caller may not set: the envelope writes them. */
const OWN_ATTRIBUTES = new Set([
  CE_SPECVERSION,
  CE_ID,
  CE_TYPE,
  CE_SOURCE,
  CE_TIME,
  CE_SUBJECT,
  CONTENT_TYPE,
  'traceparent',
  'tracestate',
  'baggage',
]);

/** A payload that does not fit the job's schema; `issues` name the fields. */
export class PayloadError extends ThroughlineError {
  override readonly name = 'PayloadError';
  readonly code = 'PAYLOAD_INVALID';
  readonly jobType: string;
  readonly issues: readonly string[];

  constructor(jobType: string, issues: readonly string[], options?: ErrorOptions) {
    super(`payload of ${jobType}: ${issues.join('; ')}`, options);
    this.jobType = jobType;
    this.issues = issues;
  }
}

/** An attribute that the caller gave and the envelope writes itself. */
export class AttributeConflictError extends ThroughlineError {
  override readonly name = 'AttributeConflictError';
  readonly code = 'ATTRIBUTE_CONFLICT';
  readonly attribute: string;

  constructor(attribute: string) {
    super(`attribute "${attribute}" is written by Throughline and cannot be set by the caller`);
    this.attribute = attribute;
  }
}

export interface EnvelopeFields {
  readonly jobId: string;
  /** The publishing service. */
  readonly source: string;
  readonly orderKey: string | undefined;
  readonly attributes: Readonly<Record<string, string>> | undefined;
}

export interface Envelope {
  readonly data: Uint8Array;
  readonly attributes: Record<string, string>;
}

/** Errors: AttributeConflictError; PayloadError when JSON cannot hold the payload. It was checked before (`checkPayload`). */
export function encodeJob(job: Job, payload: unknown, fields: EnvelopeFields): Envelope {
  // A literal, and in this order: an object that grows key by key costs several times as much.
  const attributes: Record<string, string> = {
    [CE_SPECVERSION]: '1.0',
    [CE_ID]: fields.jobId,
    [CE_TYPE]: job.type,
    [CE_SOURCE]: fields.source,
    [CE_TIME]: rfc3339Now(),
    [CONTENT_TYPE]: JSON_CONTENT,
  };
  if (fields.orderKey !== undefined) attributes[CE_SUBJECT] = fields.orderKey;
  const data = Buffer.from(toJson(job.type, payload));
  if (!fields.attributes) return { data, attributes };
  for (const key of Object.keys(fields.attributes)) {
    if (OWN_ATTRIBUTES.has(key)) throw new AttributeConflictError(key);
  }
  // Spread, which takes even an attribute named __proto__ as what it is.
  return { data, attributes: { ...attributes, ...fields.attributes } };
}

function toJson(jobType: string, payload: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(payload);
  } catch (cause) {
    throw new PayloadError(jobType, [`expected what JSON can hold: ${(cause as Error).message}`], { cause });
  }
  if (json === undefined) throw new PayloadError(jobType, ['expected what JSON can hold, got nothing']);
  return json;
}

let lastTime = { ms: 0, text: '' };

/** Thousands of messages share a millisecond, and formatting it is not free. */
function rfc3339Now(): string {
  const ms = Date.now();
  if (ms !== lastTime.ms) lastTime = { ms, text: new Date(ms).toISOString() };
  return lastTime.text;
}

/** What the attributes alone tell; absent fields are undefined, nothing is thrown. */
export interface EnvelopeHeader {
  readonly type: string | undefined;
  readonly jobId: string | undefined;
  readonly orderKey: string | undefined;
}

export function readHeader(attributes: Readonly<Record<string, string>>): EnvelopeHeader {
  return {
    type: attributes[CE_TYPE] || undefined,
    jobId: attributes[CE_ID] || undefined,
    orderKey: attributes[CE_SUBJECT] || undefined,
  };
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Errors: PayloadError when the data is not UTF-8, not JSON, or not what the schema asks for. */
export function decodePayload<Schema extends z.ZodType>(
  job: Job<Schema>,
  data: Uint8Array,
): z.output<Schema> {
  return checkPayload(job, parseJson(job.type, data));
}

/** Errors: PayloadError. */
export function checkPayload<Schema extends z.ZodType>(job: Job<Schema>, payload: unknown): z.output<Schema> {
  const checked = job.payload.safeParse(payload);
  if (checked.success) return checked.data;
  const { issues } = checked.error;
  const told = issues.slice(0, MAX_ISSUES).map(({ path, message }) => {
    return `${path.join('.') || '(payload)'}: ${message}`.slice(0, MAX_ISSUE_CHARS);
  });
  if (issues.length > MAX_ISSUES) told.push(`and ${issues.length - MAX_ISSUES} more`);
  throw new PayloadError(job.type, told);
}

/** They go to spans, logs and dead letters, and a hostile payload of 10 MB can be wrong in a million places. */
const MAX_ISSUES = 10;
const MAX_ISSUE_CHARS = 300;

function parseJson(jobType: string, data: Uint8Array): unknown {
  let text: string;
  try {
    text = utf8.decode(data);
  } catch (cause) {
    throw new PayloadError(jobType, [`expected UTF-8 text, got ${data.byteLength} other bytes`], { cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new PayloadError(jobType, [`expected JSON: ${errorMessage(cause)}`], { cause });
  }
}
