/**
 * OTLP's values as JavaScript's, from decoded protobuf and from OTLP/JSON alike.
 *
 * Everything here comes from a stranger and may have any shape: what cannot be read throws MalformedOtlpError.
 */
export class MalformedOtlpError extends Error {
  override readonly name = 'MalformedOtlpError';
}

export type OtlpObject = Readonly<Record<string, unknown>>;

/** Absent (undefined, null) is empty, as in protobuf. */
export function asList(value: unknown, what: string): readonly OtlpObject[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new MalformedOtlpError(`${what} is not a list`);
  return value.map((item) => asObject(item, what));
}

export function asObject(value: unknown, what: string): OtlpObject {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value))
    throw new MalformedOtlpError(`${what} is not an object`);
  return value as OtlpObject;
}

export function asText(value: unknown, what: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw new MalformedOtlpError(`${what} is not a string`);
  return value;
}

/** Shape: bytes (protobuf) or hex digits (OTLP/JSON) → lower-case hex; anything else → undefined. */
export function asHex(value: unknown): string | undefined {
  if (value instanceof Uint8Array)
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex');
  // An unset field of a decoded message reads as an empty list.
  if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return '';
  if (typeof value !== 'string' || !/^[0-9a-f]*$/i.test(value)) return undefined;
  return value.toLowerCase();
}

/** Shape: a 64-bit integer as Long (protobuf), decimal string (OTLP/JSON) or number → bigint. */
export function asBigInt(value: unknown, what: string): bigint {
  if (value === undefined || value === null) return 0n;
  if (isLong(value)) return (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
  if (typeof value === 'string' && /^-?\d{1,20}$/.test(value)) return BigInt(value);
  throw new MalformedOtlpError(`${what} is not an integer`);
}

/**
 * Nanoseconds since 1970 → milliseconds with fractions. A double holds today's dates to a quarter of a microsecond;
 * whole and fraction are divided apart, so that nothing more is lost.
 */
export function asEpochMs(value: unknown, what: string): number {
  const nanos = BigInt.asUintN(64, asBigInt(value, what));
  return Number(nanos / 1_000_000n) + Number(nanos % 1_000_000n) / 1e6;
}

/** Shape: KeyValue list → own properties, also for keys like `__proto__`; a repeated key keeps its last value. */
export function asAttributes(value: unknown, depth = 0): Record<string, unknown> {
  const entries = asList(value, 'attributes').map((pair) => [
    asText(pair.key, 'attribute key'),
    asValue(pair.value, depth),
  ]);
  return Object.fromEntries(entries);
}

/** Deeper values than this are hostile or a mistake; the limit keeps the recursion from overflowing the stack. */
const MAX_DEPTH = 32;

/** Integers beyond 2^53 become decimal strings, bytes become base64: the result survives JSON. */
function asValue(value: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH)
    throw new MalformedOtlpError(`an attribute is nested more than ${MAX_DEPTH} levels deep`);
  const any = asObject(value, 'attribute value');
  // `hasOwn`, because a decoded message inherits a default for every field.
  if (Object.hasOwn(any, 'stringValue')) return asText(any.stringValue, 'stringValue');
  if (Object.hasOwn(any, 'boolValue')) return any.boolValue === true || any.boolValue === 'true';
  if (Object.hasOwn(any, 'intValue')) return asSafeInteger(asBigInt(any.intValue, 'intValue'));
  if (Object.hasOwn(any, 'doubleValue')) return Number(any.doubleValue);
  if (Object.hasOwn(any, 'bytesValue')) return asBase64(any.bytesValue);
  if (Object.hasOwn(any, 'arrayValue')) {
    const { values } = asObject(any.arrayValue, 'arrayValue');
    return asList(values, 'arrayValue').map((item) => asValue(item, depth + 1));
  }
  if (Object.hasOwn(any, 'kvlistValue')) {
    return asAttributes(asObject(any.kvlistValue, 'kvlistValue').values, depth + 1);
  }
  return undefined;
}

function asSafeInteger(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function asBase64(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : asText(value, 'bytesValue');
}

function isLong(value: unknown): value is { readonly high: number; readonly low: number } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'high' in value &&
    'low' in value &&
    Number.isInteger(value.high) &&
    Number.isInteger(value.low)
  );
}
