import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { done } from '../../shared/index.ts';
import { renderTree } from '../../testing/index.ts';
import { createMemorySink } from '../fakes/memory-sink.ts';
import { createMemorySource } from '../fakes/memory-source.ts';
import type { Channel } from '../support/channel.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { SOURCE_KINDS } from '../support/source-kind.ts';
import { type Stage, startStage } from '../support/stage.ts';
import { type HostileMessage, hostileMessage, unlimitedMessage } from './hostile-input.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await startStage(EMBEDDED);
});
afterAll(() => stage.close());

const JOB_TYPE = 'note.keep.v1';

/** Whether the handler has to see the message; all others are dead letters. */
function isGood({ data, attributes }: HostileMessage): boolean {
  if (attributes['ce-type'] !== JOB_TYPE) return false;
  try {
    const payload: unknown = JSON.parse(
      new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(data),
    );
    return (
      typeof payload === 'object' &&
      payload !== null &&
      Object.keys(payload).join() === 'text' &&
      typeof (payload as { text?: unknown }).text === 'string'
    );
  } catch {
    return false;
  }
}

/** A worker whose handler notes which messages it saw. */
async function keepNotes(channel: Channel, job: ReturnType<Channel['job']>): Promise<Set<string>> {
  const handled = new Set<string>();
  await channel.work((worker) =>
    worker.handle(job, async ({ message }) => {
      handled.add(message.id);
      return done();
    }),
  );
  return handled;
}

async function publish(channel: Channel, messages: readonly HostileMessage[]): Promise<string[]> {
  const ids = await channel.sink.publish(channel.topic, messages);
  return [...ids];
}

describe.each(SOURCE_KINDS)('through Pub/Sub and $name', (source) => {
  test('every hostile message ends handled or as an explained dead letter, and none is lost', async () => {
    const channel = await stage.newChannel({ source });
    const handled = await keepNotes(channel, channel.job());
    let sent = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(hostileMessage(JOB_TYPE), { minLength: 1, maxLength: 40 }),
        async (messages) => {
          const ids = await publish(channel, messages);
          const bad = ids.filter((_id, index) => !isGood(messages[index] as HostileMessage));
          sent += ids.length;
          await channel.settled.final(sent);
          const letters = await channel.deadLetters(bad.length);
          for (const id of ids) expect(handled.has(id)).toBe(!bad.includes(id));
          expect(letters.map(({ attributes }) => attributes['dead-letter-message-id']).toSorted()).toEqual(
            bad.toSorted(),
          );
          for (const { attributes } of letters) {
            expect(attributes['dead-letter-reason']).not.toBe('');
            expect(attributes['dead-letter-error-type']).toMatch(/^(JOB_UNKNOWN|PAYLOAD_INVALID)$/);
          }
        },
      ),
      { numRuns: 25 },
    );
    expect(await channel.pullNow('work')).toBe(0);
    expect(await channel.pullNow('dead-letters')).toBe(0);
    expect(channel.settled.entries.filter(({ outcome }) => outcome === 'retry')).toEqual([]);
    expect(await stage.counter('throughline.dead_letters')).toBeGreaterThan(0);
    const processed = (await channel.spans()).filter(({ name }) => name === `process ${channel.topic}`);
    // A terminal shall show them, not obey them.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    expect(renderTree(processed)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });
});

describe('at the port, where no broker has checked anything', () => {
  test('a message beyond every limit is acked once, after its handler or after its dead letter', async () => {
    const source = createMemorySource();
    const sink = createMemorySink();
    const channel = await stage.newChannel();
    const job = channel.job();
    const handled = new Set<string>();
    await channel.work(
      (worker) =>
        worker.handle(job, async ({ message }) => {
          handled.add(message.id);
          return done();
        }),
      { source, sink },
    );
    let sent = 0;
    await fc.assert(
      fc.asyncProperty(unlimitedMessage(JOB_TYPE), async (message) => {
        sent += 1;
        const { id } = source.deliver({ ...message, id: `m-${sent}` });
        await channel.settled.final(sent);
        const answers = source.settlements.filter((settlement) => settlement.message.id === id);
        expect(answers.map(({ kind }) => kind)).toEqual(['ack']);
        expect(handled.has(id)).toBe(isGood(message));
      }),
      { numRuns: 300 },
    );
    expect(sink.messages.length + handled.size).toBe(sent);
    for (const { attributes } of sink.messages) {
      expect(attributes['dead-letter-reason']).toBeTruthy();
      const explained = Object.entries(attributes).filter(([key]) => key.startsWith('dead-letter-'));
      for (const [, value] of explained) expect(value.isWellFormed()).toBe(true);
    }
    expect(Object.keys(Object.prototype)).toEqual([]);
  });
});

describe('one at a time', () => {
  const reasonFor = async (message: Partial<HostileMessage>): Promise<string | undefined> => {
    const channel = await stage.newChannel();
    await keepNotes(channel, channel.job());
    await publish(channel, [
      { data: Buffer.from('{"text":"x"}'), attributes: { 'ce-type': JOB_TYPE }, ...message },
    ]);
    const [letter] = await channel.deadLetters(1);
    return letter?.attributes['dead-letter-reason'];
  };

  test.each<{ what: string; message: Partial<HostileMessage>; reason: string | RegExp }>([
    {
      what: 'without any attributes',
      message: { attributes: {} },
      reason: 'JOB_UNKNOWN: the message has no "ce-type" attribute; this worker handles note.keep.v1',
    },
    {
      what: 'without any data',
      message: { data: Buffer.alloc(0) },
      reason: /^PAYLOAD_INVALID: payload of note\.keep\.v1: expected JSON: /,
    },
    {
      what: 'of an unknown job',
      message: { attributes: { 'ce-type': 'coffee.make.v1' } },
      reason: 'JOB_UNKNOWN: no handler for "coffee.make.v1"; this worker handles note.keep.v1',
    },
    {
      what: 'of a future version',
      message: { attributes: { 'ce-type': 'note.keep.v2' } },
      reason: 'JOB_UNKNOWN: no handler for "note.keep.v2"; this worker handles note.keep.v1',
    },
    {
      what: 'named like a method of objects',
      message: { attributes: { 'ce-type': '__proto__' } },
      reason: /^JOB_UNKNOWN: no handler for "__proto__"/,
    },
    {
      what: 'that is not JSON',
      message: { data: Buffer.from('<text>x</text>') },
      reason: /^PAYLOAD_INVALID: payload of note\.keep\.v1: expected JSON: /,
    },
    {
      what: 'that is not UTF-8',
      message: { data: Buffer.from([0xff, 0x00]) },
      reason: 'PAYLOAD_INVALID: payload of note.keep.v1: expected UTF-8 text, got 2 other bytes',
    },
    {
      what: 'whose fields are wrong',
      message: { data: Buffer.from('{"text":5,"admin":true}') },
      reason: /text: .*admin/s,
    },
    {
      what: 'whose JSON is nested without end',
      message: { data: Buffer.from('['.repeat(1_000_000)) },
      reason: /^PAYLOAD_INVALID/,
    },
    {
      what: 'that breaks in the middle of a character',
      message: { data: Buffer.from('😀') },
      reason: /^PAYLOAD_INVALID.*expected JSON/,
    },
  ])('a message $what says why it is dead', async ({ message, reason }) => {
    const said = await reasonFor(message);
    if (typeof reason === 'string') expect(said).toBe(reason);
    else expect(said).toMatch(reason);
    expect(said?.isWellFormed()).toBe(true);
  });

  test('malformed headers are counted, begin a new trace, and the job runs', async () => {
    const channel = await stage.newChannel();
    const handled = await keepNotes(channel, channel.job());
    const before = await stage.counter('throughline.context.malformed', { attribute: 'traceparent' });
    const headers = [
      '',
      '00',
      'ff-zz',
      `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`,
      '\u001b[2J',
      'x'.repeat(1_024),
    ];
    await publish(
      channel,
      headers.map((traceparent) => ({
        data: Buffer.from('{"text":"x"}'),
        attributes: { 'ce-type': JOB_TYPE, traceparent },
      })),
    );
    await channel.settled.final(headers.length);
    expect(handled.size).toBe(headers.length);
    expect(await stage.counter('throughline.context.malformed', { attribute: 'traceparent' })).toBe(
      before + headers.length,
    );
    const spans = await channel.spans();
    expect(spans.filter(({ parentSpanId }) => parentSpanId !== undefined)).toEqual([]);
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(headers.length);
  });

  test('the same message published twice is handled twice, each with a span of its own', async () => {
    const channel = await stage.newChannel();
    const handled = await keepNotes(channel, channel.job());
    const twin = {
      data: Buffer.from('{"text":"x"}'),
      attributes: {
        'ce-type': JOB_TYPE,
        'ce-id': 'twin',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      },
    };
    await publish(channel, [twin, twin]);
    await channel.settled.final(2);
    expect(handled.size).toBe(2);
    const processed = (await channel.spans()).filter(({ name }) => name === `process ${channel.topic}`);
    expect(new Set(processed.map(({ spanId }) => spanId)).size).toBe(2);
    expect(processed.map(({ parentSpanId }) => parentSpanId)).toEqual([
      'b7ad6b7169203331',
      'b7ad6b7169203331',
    ]);
  });
});
