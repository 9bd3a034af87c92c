// The documented limits (https://cloud.google.com/pubsub/quotas#resource_limits). The texts follow the real service's
// where they are known, because people search for them.
import { invalidArgument, type StatusError } from './status.ts';

export const MAX_MESSAGES_PER_REQUEST = 1_000;
export const MAX_REQUEST_BYTES = 10_000_000;
export const MAX_MESSAGE_BYTES = 10_000_000;
export const MAX_ATTRIBUTES = 100;
export const MAX_ATTRIBUTE_KEY_BYTES = 256;
export const MAX_ATTRIBUTE_VALUE_BYTES = 1_024;
export const MAX_ORDERING_KEY_BYTES = 1_024;
export const MAX_FILTER_BYTES = 256;

const QUOTAS = 'Refer to https://cloud.google.com/pubsub/quotas for more information.';

/**
 * Keys that start with `goog` belong to the service, yet Google's own client writes these when its OpenTelemetry
 * tracing is on (its W3C propagator behind the prefix `googclient_`), and the service lets them pass.
 */
const KEYS_OF_GOOGLES_CLIENT: ReadonlySet<string> = new Set([
  'googclient_traceparent',
  'googclient_tracestate',
]);

export function tooLarge(what: string, given: number, maximum: number): StatusError {
  return invalidArgument(
    `The value for ${what} is too large. You passed ${given} in the request, but the maximum value is ${maximum}.`,
  );
}

export function checkAttribute(key: Buffer, valueBytes: number): void {
  if (key.length === 0) throw invalidArgument('One of the attributes in the request has an empty key.');
  if (key.length > MAX_ATTRIBUTE_KEY_BYTES)
    throw tooLong({ key: '', part: 'key', length: key.length, maximum: MAX_ATTRIBUTE_KEY_BYTES });
  if (valueBytes > MAX_ATTRIBUTE_VALUE_BYTES) {
    const name = key.toString();
    throw tooLong({ key: name, part: 'value', length: valueBytes, maximum: MAX_ATTRIBUTE_VALUE_BYTES });
  }
  if (startsWithGoog(key) && !KEYS_OF_GOOGLES_CLIENT.has(key.toString()))
    throw invalidArgument(`The attribute key "${key.toString()}" must not start with "goog".`);
}

function tooLong(problem: {
  key: string;
  part: 'key' | 'value';
  length: number;
  maximum: number;
}): StatusError {
  return invalidArgument(
    `The attribute "${problem.key}" in the request has a ${problem.part} that is too long. ` +
      `The length is ${problem.length} characters, but the maximum allowed is ${problem.maximum}. ${QUOTAS}`,
  );
}

/** Compares bytes, so that the usual key costs no string. */
function startsWithGoog(key: Buffer): boolean {
  return key[0] === 0x67 && key[1] === 0x6f && key[2] === 0x6f && key[3] === 0x67;
}
