import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { SpanRecord } from '../insight/index.ts';
import { createSpanCollector } from '../testing/index.ts';
import { type OtlpReceiverOptions, startOtlpReceiver } from './otlp-receiver.ts';
import { ExportTraceServiceRequest, ExportTraceServiceResponse, RpcStatus } from './otlp-schema.ts';

const PROTOBUF = 'application/x-protobuf';
const JSON_TYPE = 'application/json';
const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function start(options: Partial<OtlpReceiverOptions> = {}) {
  const spans: SpanRecord[] = [];
  const receiver = await startOtlpReceiver({ onSpans: (batch) => void spans.push(...batch), ...options });
  closers.push(receiver.close);
  const post = (body: string | Uint8Array, headers: Record<string, string>, path = '/v1/traces') =>
    fetch(receiver.endpoint + path, {
      method: 'POST',
      headers,
      body: typeof body === 'string' ? body : new Uint8Array(body),
    });
  return { receiver, spans, post };
}

const attribute = (key: string, value: unknown) => ({ key, value });
const span = {
  traceId: TRACE_ID,
  spanId: SPAN_ID,
  parentSpanId: '',
  name: 'POST /orders',
  kind: 2,
  startTimeUnixNano: '1700000000000123456',
  endTimeUnixNano: '1700000000005623456',
  attributes: [attribute('order.event_id', { stringValue: 'order-1' })],
};
const requestOf = (...spans: unknown[]) => ({
  resourceSpans: [
    {
      resource: { attributes: [attribute('service.name', { stringValue: 'shop' })] },
      scopeSpans: [{ spans }],
    },
  ],
});
const json = JSON.stringify(requestOf(span));
const protobufOf = (one: typeof span) =>
  ExportTraceServiceRequest.encode(
    ExportTraceServiceRequest.fromObject(
      requestOf({
        ...one,
        traceId: Buffer.from(one.traceId, 'hex'),
        spanId: Buffer.from(one.spanId, 'hex'),
        parentSpanId: Buffer.from(one.parentSpanId, 'hex'),
      }),
    ),
  ).finish();
const protobuf = protobufOf(span);

const expected: SpanRecord = {
  traceId: TRACE_ID,
  spanId: SPAN_ID,
  name: 'POST /orders',
  kind: 'SERVER',
  service: 'shop',
  startMs: 1_700_000_000_000.1235,
  endMs: 1_700_000_000_005.6235,
  status: { code: 'UNSET' },
  attributes: { 'order.event_id': 'order-1' },
  events: [],
  links: [],
};

describe('what it accepts', () => {
  test("the SDK's own exporter, whose spans become the records that the in-process collector makes", async () => {
    const { receiver, spans } = await start();
    const collector = createSpanCollector();
    const exporter = new OTLPTraceExporter({ url: `${receiver.endpoint}/v1/traces` });
    const provider = new BasicTracerProvider({
      resource: resourceFromAttributes({ 'service.name': 'worker' }),
      spanProcessors: [new SimpleSpanProcessor(exporter), new SimpleSpanProcessor(collector)],
    });
    closers.push(() => provider.shutdown());
    const tracer = provider.getTracer('test');
    const target = { traceId: TRACE_ID, spanId: SPAN_ID, traceFlags: TraceFlags.SAMPLED };
    const full = tracer.startSpan('process workspace-jobs', {
      kind: SpanKind.CONSUMER,
      attributes: {
        text: 'a',
        whole: 7,
        large: 3_000_000_000,
        part: 0.5,
        yes: true,
        list: ['x', 'y'],
        negative: -3,
      },
      links: [{ context: target, attributes: { 'throughline.link.reason': 'producer' } }],
    });
    full.addEvent('waited', { 'saga.wait_ms': 12 });
    full.setStatus({ code: SpanStatusCode.ERROR, message: 'late' });
    full.end();
    await provider.forceFlush();
    expect(spans).toHaveLength(1);
    expect(spans).toEqual(collector.spans);
  });

  test.each([
    ['protobuf', protobuf, { 'content-type': PROTOBUF }],
    ['JSON', json, { 'content-type': `${JSON_TYPE}; charset=utf-8` }],
    ['gzipped protobuf', gzipSync(protobuf), { 'content-type': PROTOBUF, 'content-encoding': 'gzip' }],
    ['gzipped JSON', gzipSync(json), { 'content-type': JSON_TYPE, 'content-encoding': 'gzip' }],
  ])('%s, answered in its own encoding', async (_, body, headers) => {
    const { spans, post } = await start();
    const response = await post(body, headers);
    const answer = Buffer.from(await response.arrayBuffer());
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe(headers['content-type'].split(';')[0]);
    expect(answer.toString()).toBe(headers['content-type'] === PROTOBUF ? '' : '{}');
    expect(spans).toEqual([expected]);
  });

  test.each(['/v1/metrics', '/v1/logs'])('%s, which it does not keep', async (path) => {
    const { spans, post } = await start();
    expect((await post(protobuf, { 'content-type': PROTOBUF }, path)).status).toBe(200);
    expect(spans).toEqual([]);
  });

  test('the good spans of a request, and says how many it rejected for their ids', async () => {
    const { spans, post } = await start();
    const bad = [
      { ...span, spanId: '0'.repeat(16) },
      { ...span, traceId: 'abc' },
      { ...span, parentSpanId: 'zz' },
    ];
    const asJson = await post(JSON.stringify(requestOf(...bad, span)), { 'content-type': JSON_TYPE });
    expect(await asJson.json()).toEqual({
      partialSuccess: { rejectedSpans: '3', errorMessage: expect.stringContaining('3 spans') },
    });
    const asProtobuf = await post(protobufOf({ ...span, spanId: '00' }), { 'content-type': PROTOBUF });
    const message = ExportTraceServiceResponse.decode(Buffer.from(await asProtobuf.arrayBuffer())).toJSON();
    expect(message).toMatchObject({ partialSuccess: { rejectedSpans: '1' } });
    expect(spans).toEqual([expected]);
  });
});

describe('what it refuses', () => {
  const many = JSON.stringify(requestOf(...Array.from({ length: 50 }, () => span)));
  test.each([
    ['malformed JSON', 400, '{', { 'content-type': JSON_TYPE }, '/v1/traces'],
    ['JSON of another shape', 400, '{"resourceSpans":5}', { 'content-type': JSON_TYPE }, '/v1/traces'],
    ['malformed protobuf', 400, protobuf.subarray(0, -3), { 'content-type': PROTOBUF }, '/v1/traces'],
    [
      'a body that is no gzip',
      400,
      json,
      { 'content-type': JSON_TYPE, 'content-encoding': 'gzip' },
      '/v1/traces',
    ],
    ['another media type', 415, json, { 'content-type': 'text/plain' }, '/v1/traces'],
    [
      'another content encoding',
      415,
      json,
      { 'content-type': JSON_TYPE, 'content-encoding': 'br' },
      '/v1/traces',
    ],
    ['another path', 404, json, { 'content-type': JSON_TYPE }, '/v2/traces'],
    ['an oversized body', 413, many, { 'content-type': JSON_TYPE }, '/v1/traces'],
    [
      'a gzip bomb',
      413,
      gzipSync(Buffer.alloc(5_000_000)),
      { 'content-type': PROTOBUF, 'content-encoding': 'gzip' },
      '/v1/traces',
    ],
  ])('%s: %d', async (_, status, body, headers, path) => {
    const { spans, post } = await start({ maxBodyBytes: 6_000 });
    const response = await post(body, headers, path);
    expect(response.status).toBe(status);
    const bytes = Buffer.from(await response.arrayBuffer());
    const isProtobuf = response.headers.get('content-type') === PROTOBUF;
    expect(isProtobuf).toBe(headers['content-type'] === PROTOBUF);
    const rpcStatus = isProtobuf ? RpcStatus.decode(bytes).toJSON() : JSON.parse(bytes.toString());
    expect(rpcStatus).toEqual({ code: expect.any(Number), message: expect.stringMatching(/.+/) });
    expect(spans).toEqual([]);
    expect((await post(protobuf, { 'content-type': PROTOBUF })).status).toBe(200);
  });

  test('an oversized body without a declared length', async () => {
    const { receiver } = await start({ maxBodyBytes: 1_000 });
    const body = new ReadableStream({
      start: (controller) => {
        for (let sent = 0; sent < 50; sent += 1) controller.enqueue(new Uint8Array(1_000));
        controller.close();
      },
    });
    const init = { method: 'POST', headers: { 'content-type': PROTOBUF }, body, duplex: 'half' as const };
    expect((await fetch(`${receiver.endpoint}/v1/traces`, init)).status).toBe(413);
  });

  test('other methods: 405 with Allow', async () => {
    const { receiver } = await start();
    const response = await fetch(`${receiver.endpoint}/v1/traces`);
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('POST');
  });

  test('values nested without end: 400', async () => {
    const { post } = await start();
    const depth = 20_000;
    const value = `${'{"arrayValue":{"values":['.repeat(depth)}${']}}'.repeat(depth)}`;
    const body = json.replace('{"stringValue":"order-1"}', value);
    expect((await post(body, { 'content-type': JSON_TYPE })).status).toBe(400);
    let nested: object = { stringValue: 'x' };
    for (let level = 0; level < 40; level += 1) nested = { arrayValue: { values: [nested] } };
    const bytes = ExportTraceServiceRequest.encode(
      requestOf({
        traceId: Buffer.from(TRACE_ID, 'hex'),
        spanId: Buffer.from(SPAN_ID, 'hex'),
        attributes: [attribute('deep', nested)],
      }),
    ).finish();
    expect((await post(bytes, { 'content-type': PROTOBUF })).status).toBe(400);
  });

  test('spans that the callback cannot keep: 500, and goes on', async () => {
    let calls = 0;
    const { post } = await start({
      onSpans: () => {
        calls += 1;
        if (calls === 1) throw new Error('full');
      },
    });
    expect((await post(protobuf, { 'content-type': PROTOBUF })).status).toBe(500);
    expect((await post(protobuf, { 'content-type': PROTOBUF })).status).toBe(200);
  });
});

describe('hostile bytes', () => {
  test('are answered with 200 or 400, and the next request is served', async () => {
    const { post } = await start();
    const truncated = (body: Uint8Array) => fc.nat(body.length).map((length) => body.subarray(0, length));
    const flipped = fc.tuple(fc.nat(protobuf.length - 1), fc.nat(255)).map(([position, byte]) => {
      const copy = Uint8Array.from(protobuf);
      copy[position] = byte;
      return copy;
    });
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      truncated(protobuf),
      truncated(Buffer.from(json)),
      flipped,
      fc.json().map((text) => Buffer.from(text)),
      fc.json().map((text) => Buffer.from(`{"resourceSpans":[{"scopeSpans":[{"spans":[${text}]}]}]}`)),
    );
    const type = fc.constantFrom(PROTOBUF, JSON_TYPE);
    await fc.assert(
      fc.asyncProperty(bytes, type, fc.boolean(), async (body, contentType, isGzip) => {
        const headers = { 'content-type': contentType, ...(isGzip && { 'content-encoding': 'gzip' }) };
        const response = await post(body, headers);
        await response.arrayBuffer();
        expect([200, 400]).toContain(response.status);
      }),
      { numRuns: 300 },
    );
    expect((await post(protobuf, { 'content-type': PROTOBUF })).status).toBe(200);
  });

  test('of a sender that hangs up half-way do no harm', async () => {
    const { receiver, post } = await start();
    const port = Number(new URL(receiver.endpoint).port);
    await new Promise<void>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        const head = `POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: ${PROTOBUF}\r\nContent-Length: 99\r\n\r\n`;
        socket.write(`${head}abc`, () => socket.destroy());
      });
      socket.on('close', () => resolve());
    });
    expect((await post(protobuf, { 'content-type': PROTOBUF })).status).toBe(200);
  });
});

describe('forwarding', () => {
  async function startTarget(status: number) {
    const requests: { path: string; headers: Record<string, unknown>; body: Buffer }[] = [];
    const server: Server = createServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray());
      requests.push({ path: request.url ?? '', headers: request.headers, body });
      response.writeHead(status).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => new Promise((resolve) => server.close(resolve)));
    return { requests, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/base/` };
  }

  test('sends the same bytes on, and close waits for them', async () => {
    const target = await startTarget(200);
    const { receiver, post } = await start({ forwardTo: target.url, forwardHeaders: { 'x-key': 'k' } });
    const body = gzipSync(protobuf);
    await post(body, { 'content-type': PROTOBUF, 'content-encoding': 'gzip' });
    await post(json, { 'content-type': JSON_TYPE }, '/v1/metrics');
    await receiver.close();
    expect(target.requests.map(({ path }) => path).sort()).toEqual(['/base/v1/metrics', '/base/v1/traces']);
    const traces = target.requests.find(({ path }) => path === '/base/v1/traces');
    expect(traces?.body.equals(body)).toBe(true);
    expect(traces?.headers).toMatchObject({
      'content-type': PROTOBUF,
      'content-encoding': 'gzip',
      'x-key': 'k',
    });
  });

  test('reports the first failure only, and fails no request', async () => {
    const target = await startTarget(503);
    const errors: unknown[] = [];
    const { receiver, post, spans } = await start({
      forwardTo: target.url,
      onForwardError: (error) => {
        errors.push(error);
        throw new Error('a callback that throws');
      },
    });
    for (let sent = 0; sent < 3; sent += 1) {
      expect((await post(protobuf, { 'content-type': PROTOBUF })).status).toBe(200);
    }
    await receiver.close();
    expect(errors).toHaveLength(1);
    expect(String(errors[0])).toContain('answered 503');
    expect(spans).toHaveLength(3);
  });
});

test('may be closed twice, and then refuses connections', async () => {
  const { receiver, post } = await start();
  await Promise.all([receiver.close(), receiver.close()]);
  await expect(post(protobuf, { 'content-type': PROTOBUF })).rejects.toThrow();
});

test('says that its port is taken', async () => {
  const { receiver } = await start();
  const port = Number(new URL(receiver.endpoint).port);
  await expect(start({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});
