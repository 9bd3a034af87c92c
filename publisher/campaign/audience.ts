import { createHash } from 'node:crypto';
import type { AddressScheme } from '../../shared/campaign/channel.ts';
import { type Fields, fieldsOf, missingFields, type Template } from '../../shared/campaign/template.ts';
import { isStorable } from '../../shared/storable.ts';
import type { SegmentRow } from './segment.ts';

/** A recipient as they are written into the ledger. */
export interface Candidate {
  readonly recipientId: string;
  readonly address: string;
  /** Unique within a campaign; of who cannot be reached it is their id. */
  readonly addressKey: string;
  /** Those that the template names, and no others. */
  readonly fields: Fields;
  readonly timeZone: string | null;
  /** Why nothing can be sent to them; undefined: it can. */
  readonly problem: string | undefined;
}

/** What the ledger allows: a job's payload bears it, and an index. */
const MAX_ID_CHARS = 256;
const MAX_ADDRESS_CHARS = 1_000;
/** Of one field: pages of recipients are held in memory, and kept. */
const MAX_FIELD_CHARS = 10_000;

/** What becomes of a segment's row, given the time zones that PostgreSQL knows. Errors: none; what is wrong with a recipient is said of that recipient. */
export function toCandidate(
  row: SegmentRow,
  template: Template,
  channel: AddressScheme,
  timeZones: ReadonlySet<string>,
): Candidate {
  const { key, address, timeZone, fields: given } = row;
  const wanted = fieldsOf(template);
  const fields = Object.fromEntries(wanted.map((name) => [name, given[name] ?? '']));
  const addressKey = isUsable(address, MAX_ADDRESS_CHARS) ? channel.addressKey(address) : undefined;
  const recipientId = isUsable(key, MAX_ID_CHARS) ? key : digestOf(key);
  const shared = {
    recipientId,
    timeZone: timeZone !== null && timeZones.has(timeZone) ? timeZone : null,
    problem: problemOf(row, fields) ?? unreachableBy(addressKey, channel),
  };
  if (address === null || addressKey === undefined || shared.problem !== undefined)
    return { ...shared, address: '', addressKey: `unreachable ${recipientId}`, fields: {} };
  return { ...shared, address, addressKey, fields };
}

function problemOf({ key }: SegmentRow, fields: Fields): string | undefined {
  if (!isUsable(key, MAX_ID_CHARS)) return `key: expected 1 to ${MAX_ID_CHARS} characters of text`;
  const missing = missingFields(Object.keys(fields), fields);
  if (missing.length > 0) return `${missing.join(', ')}: the template names what this recipient has not`;
  const tooMuch = Object.keys(fields).find((name) => !isUsable(fields[name] ?? '', MAX_FIELD_CHARS));
  return tooMuch && `${tooMuch}: expected at most ${MAX_FIELD_CHARS} characters of text`;
}

function unreachableBy(addressKey: string | undefined, { name }: Pick<AddressScheme, 'name'>) {
  const isAddress = addressKey !== undefined && isUsable(addressKey, MAX_ADDRESS_CHARS);
  return isAddress ? undefined : `address: expected an address of channel ${name}`;
}

/** Whether PostgreSQL, and a message, can bear it. */
function isUsable(text: string | null, maxChars: number): text is string {
  return text !== null && text !== '' && text.length <= maxChars && isStorable(text);
}

/** Stands for a key that cannot be stored: two of them are two. */
function digestOf(key: string): string {
  return `sha256 ${createHash('sha256').update(key).digest('hex')}`;
}
