import { MAX_MESSAGES_PER_REQUEST, MAX_REQUEST_BYTES, tooLarge } from './limits.ts';
import { checkMessage } from './message.ts';
import { invalidArgument } from './status.ts';
import { delimitedField, WireReader } from './wire.ts';

/** A message that was checked but not yet accepted. */
export interface Draft {
  readonly bytes: Buffer;
  readonly orderingKey: string;
}

/** Reads the topic and the messages as undecoded slices, so that the topic can be looked up before the messages are. */
export function readPublishRequest(request: Buffer): { topic: string; messages: Buffer[] } {
  const reader = new WireReader(request);
  const messages: Buffer[] = [];
  let topic = '';
  while (reader.next()) {
    if (reader.field === 1) topic = reader.value.toString();
    else if (reader.field === 2) messages.push(reader.value);
  }
  return { topic, messages };
}

/** All or nothing: one bad message refuses the request, as the real service does. */
export function checkMessages(messages: readonly Buffer[], requestBytes: number): Draft[] {
  if (messages.length === 0) throw invalidArgument('The request has no messages to publish.');
  if (messages.length > MAX_MESSAGES_PER_REQUEST)
    throw tooLarge('message_count', messages.length, MAX_MESSAGES_PER_REQUEST);
  const drafts = messages.map((bytes) => ({ bytes, orderingKey: checkMessage(bytes) }));
  if (requestBytes > MAX_REQUEST_BYTES) throw tooLarge('request_size', requestBytes, MAX_REQUEST_BYTES);
  return drafts;
}

export function writePublishResponse(messageIds: readonly string[]): Buffer {
  return Buffer.concat(messageIds.map((id) => delimitedField(1, id)));
}
