import { expect, test } from 'vitest';
import { done } from '../../shared/index.ts';
import { assertConnected, type SpanRecord } from '../../testing/index.ts';
import { publishWithGooglesTracing } from '../support/google-client-process.ts';
import type { Stage } from '../support/stage.ts';
import type { Setting } from './suite.ts';

const OURS = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
const GOOGLES = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };
type Ids = typeof OURS;

function header({ traceId, spanId }: Ids): string {
  return `00-${traceId}-${spanId}-01`;
}

export function foreignMessages({ stage, source }: Setting): void {
  /** The process span of a message that a stranger published with these attributes. */
  const processed = async (attributes: Readonly<Record<string, string>>): Promise<SpanRecord> => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    await channel.work((worker) => worker.handle(job, async () => done()));
    await channel.publishPlainly('{"text":"hello"}', { 'ce-type': job.type, ...attributes });
    await channel.settled.final(1);
    await stage().flush();
    const span = stage().collector.spans.find(({ name }) => name === `process ${channel.topic}`);
    if (!span) throw new Error('the process span is missing');
    return span;
  };

  test('a message without any context begins a trace, which still bears its order key', async () => {
    const span = await processed({ 'ce-subject': 'O-plain' });
    expect(span.parentSpanId).toBeUndefined();
    expect(span.links).toEqual([]);
    expect(span.attributes).toMatchObject({
      'throughline.context.source': 'none',
      'order.event_id': 'O-plain',
    });
    assertConnected([span], 'O-plain');
  });

  test("Google's header alone is the parent", async () => {
    const span = await processed({ googclient_traceparent: header(GOOGLES) });
    expect(parentOf(span)).toEqual(GOOGLES);
    expect(span.attributes['throughline.context.source']).toBe('google-client');
    expect(linksOf(span)).toEqual([{ reason: 'producer', ...GOOGLES }]);
  });

  test("of two headers that differ ours is the parent, and Google's a link", async () => {
    const span = await processed({ traceparent: header(OURS), googclient_traceparent: header(GOOGLES) });
    expect(parentOf(span)).toEqual(OURS);
    expect(span.attributes).not.toHaveProperty('throughline.context.source');
    expect(linksOf(span)).toEqual([
      { reason: 'producer', ...OURS },
      { reason: 'google-client', ...GOOGLES },
    ]);
  });

  test('two headers that say the same make one parent and one link', async () => {
    const span = await processed({ traceparent: header(OURS), googclient_traceparent: header(OURS) });
    expect(parentOf(span)).toEqual(OURS);
    expect(linksOf(span)).toEqual([{ reason: 'producer', ...OURS }]);
  });

  test("a malformed header of ours leaves Google's as the parent", async () => {
    const span = await processed({ traceparent: '00-zz-zz-01', googclient_traceparent: header(GOOGLES) });
    expect(parentOf(span)).toEqual(GOOGLES);
  });

  test("a publisher with interop: 'google' writes both headers, for one and the same span", async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    let attributes: Readonly<Record<string, string>> = {};
    await channel.work((worker) =>
      worker.handle(job, async ({ message }) => {
        attributes = message.attributes;
        return done();
      }),
    );
    await channel.newPublisher({ interop: 'google' }).publish(job, { text: 'hello' });
    await channel.settled.final(1);
    expect(attributes['googclient_traceparent']).toBe(attributes['traceparent']);
    expect(await channel.tree()).toBe(
      'send jobs [shop]\n  process jobs [shop] attempt=1 link:producer→send jobs',
    );
  });
}

/** One test for each Pub/Sub: it needs a process of its own, because Google's tracing and ours do not share one. */
export function googleClientProcess(stage: () => Stage): void {
  test("its publishing span is the parent of our processing, and both processes' spans are connected", async () => {
    const channel = await stage().newChannel();
    const job = channel.job();
    await channel.work((worker) => worker.handle(job, async () => done()));
    const theirs = await publishWithGooglesTracing({
      emulatorHost: stage().host,
      projectId: stage().connection.projectId,
      topic: channel.topic,
      data: '{"text":"hello"}',
      attributes: { 'ce-type': job.type, 'ce-id': 'theirs', 'ce-subject': 'O-google' },
    });
    await channel.settled.final(1);
    await stage().flush();
    const ours = stage().collector.spans.filter(({ name }) => name === `process ${channel.topic}`);
    expect(ours).toHaveLength(1);
    expect(ours[0]?.attributes['throughline.context.source']).toBe('google-client');
    const parent = theirs.find(({ spanId }) => spanId === ours[0]?.parentSpanId);
    expect(parent).toMatchObject({ service: 'google-client', kind: 'PRODUCER' });
    expect(ours[0]?.traceId).toBe(parent?.traceId);
  });
}

function parentOf({ traceId, parentSpanId }: SpanRecord) {
  return { traceId, spanId: parentSpanId };
}

function linksOf({ links }: SpanRecord) {
  return links.map(({ traceId, spanId, attributes }) => ({
    reason: attributes['throughline.link.reason'],
    traceId,
    spanId,
  }));
}
