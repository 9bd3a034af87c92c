import { promisify } from 'node:util';
import { gunzipSync, gzip } from 'node:zlib';
import { NotAProfileError } from './errors.ts';
import { ProfileMessage, type WireProfile } from './pprof-schema.ts';

/** A profile as we think of one; `encodeProfile` makes the file of it that any viewer opens. */
export interface Profile {
  /** What each sample has a value of; the last one is what viewers show first. */
  readonly valueTypes: readonly ValueType[];
  readonly samples: readonly ProfileSample[];
  readonly comments: readonly string[];
  /** Unix time. */
  readonly startedMs: number;
  readonly durationMs: number;
  /** Between two samples, in the unit of the last value type. */
  readonly period: number;
}

export interface ValueType {
  /** `cpu`, `inuse_space` … */
  readonly type: string;
  /** `nanoseconds`, `bytes`, `count`. */
  readonly unit: string;
}

export interface ProfileSample {
  /** The innermost function first. */
  readonly stack: readonly Frame[];
  /** One for each value type. */
  readonly values: readonly number[];
  readonly labels: Readonly<Record<string, string>>;
}

/** A function. Equal ones of a profile are the same object. */
export interface Frame {
  readonly name: string;
  readonly file: string;
  readonly line: number;
}

const NANOS_IN_MS = 1_000_000;
/** A gzip of a few kilobytes can hold gigabytes. */
const MAX_BYTES = 256 * 1024 * 1024;

/** Shape: the bytes of a `.pb.gz` file. */
export async function encodeProfile(profile: Profile): Promise<Uint8Array> {
  const strings = numbered<string>(['']);
  const frames = numbered<Frame>();
  const sample = profile.samples.map(({ stack, values, labels }) => ({
    locationId: stack.map((frame) => frames.numberOf(frame) + 1),
    value: [...values],
    label: Object.entries(labels).map(([key, value]) => ({
      key: strings.numberOf(key),
      str: strings.numberOf(value),
    })),
  }));
  const typeOf = ({ type, unit }: ValueType) => ({
    type: strings.numberOf(type),
    unit: strings.numberOf(unit),
  });
  const last = profile.valueTypes.at(-1);
  const wire: WireProfile = {
    sampleType: profile.valueTypes.map(typeOf),
    sample,
    location: frames.all.map(({ line }, index) => ({
      id: index + 1,
      line: [{ functionId: index + 1, line }],
    })),
    function: frames.all.map(({ name, file }, index) => ({
      id: index + 1,
      name: strings.numberOf(name),
      systemName: strings.numberOf(name),
      filename: strings.numberOf(file),
    })),
    timeNanos: profile.startedMs * NANOS_IN_MS,
    durationNanos: Math.round(profile.durationMs * NANOS_IN_MS),
    ...(last && { periodType: typeOf(last), defaultSampleType: strings.numberOf(last.type) }),
    period: profile.period,
    comment: profile.comments.map((comment) => strings.numberOf(comment)),
    stringTable: strings.all,
  };
  return promisify(gzip)(ProfileMessage.encode(wire).finish());
}

function numbered<Item>(all: Item[] = []) {
  const places = new Map(all.map((item, index) => [item, index]));
  return {
    all,
    numberOf(item: Item): number {
      let place = places.get(item);
      if (place === undefined) {
        place = all.push(item) - 1;
        places.set(item, place);
      }
      return place;
    },
  };
}

/** Reads a profile, of whatever program it is. Errors: NotAProfileError. */
export function decodeProfile(bytes: Uint8Array): Profile {
  const wire = parse(unzipped(bytes));
  const text = (place: number) => {
    const found = wire.stringTable[place];
    if (found === undefined) throw new NotAProfileError(`it has no text number ${place}`);
    return found;
  };
  if (wire.sampleType.length === 0) throw new NotAProfileError('it does not say what its samples measure');
  const stackOf = readStacks(wire, text);
  const samples = wire.sample.map(({ locationId, value, label }) => {
    if (value.length !== wire.sampleType.length)
      throw new NotAProfileError(`a sample has ${value.length} values, not ${wire.sampleType.length}`);
    const labels = label.filter(({ str }) => str !== 0).map(({ key, str }) => [text(key), text(str)]);
    return { stack: stackOf(locationId), values: value, labels: Object.fromEntries(labels) };
  });
  return {
    valueTypes: wire.sampleType.map(({ type, unit }) => ({ type: text(type), unit: text(unit) })),
    samples,
    comments: wire.comment.map(text),
    startedMs: wire.timeNanos / NANOS_IN_MS,
    durationMs: wire.durationNanos / NANOS_IN_MS,
    period: wire.period,
  };
}

function unzipped(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) throw new NotAProfileError('it is empty');
  const isZipped = bytes[0] === 0x1f && bytes[1] === 0x8b;
  if (!isZipped) return bytes; // the format allows it
  try {
    return gunzipSync(bytes, { maxOutputLength: MAX_BYTES });
  } catch (cause) {
    throw new NotAProfileError(`it cannot be unzipped (${(cause as Error).message})`, { cause });
  }
}

function parse(bytes: Uint8Array): WireProfile {
  try {
    const decoded = ProfileMessage.toObject(ProfileMessage.decode(bytes), { longs: Number, defaults: true });
    return decoded as WireProfile;
  } catch (cause) {
    throw new NotAProfileError(`it is not made of profile.proto's fields (${(cause as Error).message})`, {
      cause,
    });
  }
}

function readStacks(wire: WireProfile, text: (place: number) => string) {
  const functions = new Map(wire.function.map((one) => [one.id, one]));
  const known = new Map<string, Frame>();
  const frameOf = (functionId: number, line: number): Frame => {
    const one = functions.get(functionId);
    if (!one) throw new NotAProfileError(`it has no function number ${functionId}`);
    const frame = { name: text(one.name) || '(anonymous)', file: text(one.filename), line };
    const key = JSON.stringify(frame);
    const before = known.get(key);
    if (!before) known.set(key, frame);
    return before ?? frame;
  };
  const locations = new Map(
    wire.location.map(({ id, line }) => [id, line.map((one) => frameOf(one.functionId, one.line))]),
  );
  return (ids: readonly number[]): readonly Frame[] =>
    ids.flatMap((id) => {
      const frames = locations.get(id);
      if (!frames) throw new NotAProfileError(`it has no location number ${id}`);
      // Of a program without symbols only addresses are known.
      return frames.length > 0 ? frames : [{ name: `(location ${id})`, file: '', line: 0 }];
    });
}
