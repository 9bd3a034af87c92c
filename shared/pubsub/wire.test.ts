import { createRequire } from 'node:module';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import type { OutgoingMessage } from './message-sink.ts';
import {
  decodePublishResponse,
  decodePullResponse,
  encodePublishRequest,
  encodePullRequest,
} from './wire.ts';

/** Google's own definitions are the standard for ours. */
const fromClient = createRequire(createRequire(import.meta.url).resolve('@google-cloud/pubsub'));
const root = protobuf.Root.fromJSON(fromClient('@google-cloud/pubsub-api/build/protos/protos.json'));
const PublishRequest = root.lookupType('google.pubsub.v1.PublishRequest');
const PublishResponse = root.lookupType('google.pubsub.v1.PublishResponse');
const StreamingPullRequest = root.lookupType('google.pubsub.v1.StreamingPullRequest');
const StreamingPullResponse = root.lookupType('google.pubsub.v1.StreamingPullResponse');

const text = fc.string({ unit: 'grapheme', maxLength: 200 });
const attributes = fc.dictionary(text, text, { maxKeys: 20 });
const data = fc.uint8Array({ maxLength: 300 });
const message: fc.Arbitrary<OutgoingMessage> = fc.record(
  { data, attributes, orderingKey: text },
  { requiredKeys: ['data', 'attributes'] },
);

function encode(type: protobuf.Type, value: object): Buffer {
  return Buffer.from(type.encode(type.fromObject(value)).finish());
}

describe('the wire', () => {
  it("writes publish requests that Google's definitions read back", () => {
    const property = fc.property(text, fc.array(message, { maxLength: 5 }), (topic, messages) => {
      const read = PublishRequest.toObject(PublishRequest.decode(encodePublishRequest(topic, messages)), {
        defaults: true,
      });
      expect(read['topic']).toBe(topic);
      const wanted = messages.map((one) => ({
        ...one,
        data: [...one.data],
        orderingKey: one.orderingKey ?? '',
      }));
      const got = (read['messages'] as Record<string, unknown>[]).map((one) => ({
        data: [...(one['data'] as Uint8Array)],
        attributes: one['attributes'],
        orderingKey: one['orderingKey'],
      }));
      expect(got).toEqual(wanted);
    });
    fc.assert(property, { numRuns: 300 });
  });

  it.each([127, 128, 16_383, 16_384, 3_000_000])(
    'writes %i bytes of data with the right length',
    (length) => {
      const bytes = Buffer.alloc(length, 'x');
      const request = encodePublishRequest('t', [
        { data: bytes, attributes: { k: 'v'.repeat(length % 2_000) } },
      ]);
      const [read] = (PublishRequest.decode(request) as unknown as { messages: { data: Buffer }[] }).messages;
      expect(Buffer.compare(read?.data ?? Buffer.alloc(0), bytes)).toBe(0);
    },
  );

  it("reads what Google's definitions write, fields that it does not know included", () => {
    const received = fc.record({
      ackId: text,
      deliveryAttempt: fc.nat({ max: 2 ** 31 - 1 }),
      message: fc.record({
        data,
        attributes,
        messageId: text,
        orderingKey: text,
        publishTime: fc.record({
          seconds: fc.integer({ min: 0, max: 2 ** 33 }),
          nanos: fc.nat({ max: 999_999_999 }),
        }),
      }),
    });
    const property = fc.property(fc.array(received, { maxLength: 5 }), (receivedMessages) => {
      const bytes = encode(StreamingPullResponse, {
        receivedMessages,
        subscriptionProperties: { exactlyOnceDeliveryEnabled: true },
        acknowledgeConfirmation: { ackIds: ['a'] },
      });
      const read = decodePullResponse(bytes);
      expect(read.map((one) => ({ ...one, data: [...one.data], receivedAtMs: 0 }))).toEqual(
        receivedMessages.map(({ ackId, deliveryAttempt, message: sent }) => ({
          id: sent.messageId,
          data: [...sent.data],
          attributes: sent.attributes,
          orderingKey: sent.orderingKey || undefined,
          publishedAtMs: sent.publishTime.seconds * 1_000 + sent.publishTime.nanos / 1e6,
          receivedAtMs: 0,
          deliveryAttempt: deliveryAttempt || undefined,
          ackId,
        })),
      );
    });
    fc.assert(property, { numRuns: 300 });
  });

  it('keeps an attribute named __proto__ an attribute', () => {
    const sent = JSON.parse('{"__proto__": "x", "constructor": "y"}') as Record<string, string>;
    const request = encodePublishRequest('t', [{ data: Buffer.from('d'), attributes: sent }]);
    const inner = protobuf.Reader.create(request);
    inner.uint32();
    inner.skip(inner.uint32());
    inner.uint32();
    const message = inner.bytes();
    const response = protobuf.Writer.create()
      .uint32(0x0a)
      .fork()
      .uint32(0x12)
      .bytes(message)
      .ldelim()
      .finish();
    const [read] = decodePullResponse(Buffer.from(response));
    expect(Object.entries(read?.attributes ?? {})).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ]);
    expect(Object.getPrototypeOf(read?.attributes)).toBe(Object.prototype);
  });

  it('reads the ids of a publish response, and an empty response', () => {
    expect(decodePublishResponse(encode(PublishResponse, { messageIds: ['1', '22'] }))).toEqual(['1', '22']);
    expect(decodePublishResponse(Buffer.alloc(0))).toEqual([]);
    expect(decodePullResponse(Buffer.alloc(0))).toEqual([]);
  });

  it('writes the first request of a stream, and the empty one that keeps it alive', () => {
    const request = {
      subscription: 'projects/p/subscriptions/s',
      ackDeadlineSeconds: 30,
      maxOutstandingMessages: 1_000,
      maxOutstandingBytes: 5_000_000_000,
      clientId: 'c-1',
    };
    const read = StreamingPullRequest.toObject(StreamingPullRequest.decode(encodePullRequest(request)), {
      longs: Number,
    });
    expect(read).toEqual({
      subscription: request.subscription,
      streamAckDeadlineSeconds: 30,
      maxOutstandingMessages: 1_000,
      maxOutstandingBytes: 5_000_000_000,
      clientId: 'c-1',
      protocolVersion: 1,
    });
    expect(encodePullRequest('keep-alive')).toHaveLength(0);
  });
});
