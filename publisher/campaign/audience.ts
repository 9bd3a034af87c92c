import type { AddressScheme } from '../../shared/campaign/channel.ts';
import { type Fields, fieldsOf, missingFields, type Template } from '../../shared/campaign/template.ts';
import { isStorable, storableText } from '../../shared/storable.ts';
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

/** What becomes of a segment's row, given the time zones that PostgreSQL knows. Errors: none; what is wrong with a recipient is said of that recipient. */
export function toCandidate(
  { key, address, timeZone, fields: given }: SegmentRow,
  template: Template,
  channel: AddressScheme,
  timeZones: ReadonlySet<string>,
): Candidate {
  const wanted = fieldsOf(template);
  const fields = Object.fromEntries(wanted.map((name) => [name, given[name] ?? '']));
  const addressKey =
    address === null || address.length > MAX_ADDRESS_CHARS ? undefined : channel.addressKey(address);
  const missing = missingFields(wanted, fields);
  const problem =
    key.length > MAX_ID_CHARS
      ? `key: expected at most ${MAX_ID_CHARS} characters`
      : addressKey === undefined
        ? `address: expected an address of channel ${channel.name}`
        : missing.length > 0
          ? `${missing.join(', ')}: the template names what this recipient has not`
          : Object.values(fields).some((value) => !isStorable(value))
            ? 'fields: expected text without NUL and without halves of surrogate pairs'
            : undefined;
  return {
    recipientId: storableText(key, MAX_ID_CHARS),
    address: problem === undefined ? (address ?? '') : '',
    addressKey:
      addressKey !== undefined && problem === undefined
        ? addressKey
        : `unreachable ${key.slice(0, MAX_ID_CHARS)}`,
    fields: problem === undefined ? fields : {},
    timeZone: timeZone !== null && timeZones.has(timeZone) ? timeZone : null,
    problem,
  };
}
