// The protobuf wire format, as far as the two hot paths need it: reading a PublishRequest without building
// objects, and writing responses around messages that are already encoded. Everything else goes through proto-loader.
import { invalidArgument } from './status.ts';

export const VARINT = 0;
const FIXED64 = 1;
export const DELIMITED = 2;
const FIXED32 = 5;

/** Walks the fields of one encoded message: `while (reader.next()) { reader.field … }`. */
export class WireReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #position: number;
  #start = 0;
  field = 0;
  /** Of the field's content in bytes: 0 unless it is length-delimited. */
  length = 0;

  constructor(bytes: Buffer, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#position = start;
    this.#end = end;
  }

  /** The field's content. A view, not a copy; made when asked for, since most fields are only measured. */
  get value(): Buffer {
    return this.#bytes.subarray(this.#start, this.#start + this.length);
  }

  /** A reader of the message that the field holds. */
  get nested(): WireReader {
    return new WireReader(this.#bytes, this.#start, this.#start + this.length);
  }

  next(): boolean {
    if (this.#position >= this.#end) return false;
    const tag = this.#varint();
    this.field = tag >>> 3;
    const wireType = tag & 7;
    this.length = wireType === DELIMITED ? this.#varint() : 0;
    this.#start = this.#position;
    if (wireType === VARINT) this.#varint();
    else if (wireType === FIXED64) this.#position += 8;
    else if (wireType === FIXED32) this.#position += 4;
    else if (wireType === DELIMITED) this.#position += this.length;
    else throw malformed();
    if (this.#position > this.#end) throw malformed();
    return true;
  }

  /** Exact below 2^53, which covers tags and lengths; the values of number fields are skipped, not read. */
  #varint(): number {
    let value = 0;
    let factor = 1;
    for (let count = 0; count < 10; count++) {
      const byte = this.#bytes[this.#position++];
      if (byte === undefined) throw malformed();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
    throw malformed();
  }
}

export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}

/** Writes `value` (0 or more) at `offset` and returns the offset after it. */
export function writeVarint(target: Buffer, value: number, offset: number): number {
  let position = offset;
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) target[position++] = (rest % 128) | 0x80;
  target[position++] = rest;
  return position;
}

export function varintField(field: number, value: number): Buffer {
  const bytes = Buffer.allocUnsafe(1 + varintLength(value));
  bytes[0] = (field << 3) | VARINT;
  writeVarint(bytes, value, 1);
  return bytes;
}

export function delimitedField(field: number, content: string | Buffer): Buffer {
  const length = typeof content === 'string' ? Buffer.byteLength(content) : content.length;
  const bytes = Buffer.allocUnsafe(1 + varintLength(length) + length);
  bytes[0] = (field << 3) | DELIMITED;
  const start = writeVarint(bytes, length, 1);
  if (typeof content === 'string') bytes.write(content, start);
  else content.copy(bytes, start);
  return bytes;
}

function malformed() {
  return invalidArgument('The request is not a well-formed protocol buffer message.');
}
