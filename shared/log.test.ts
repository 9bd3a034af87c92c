import { context, INVALID_SPAN_CONTEXT, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTestTelemetry, type TestTelemetry } from '../test/fakes/telemetry.ts';
import { createLogger, type LogOptions } from './log.ts';
import { REDACTED } from './scrub.ts';
import { SENSITIVE_FIELDS } from './sensitive-fields.ts';
import { withOrderKey } from './trace/order-key.ts';

let telemetry: TestTelemetry;
beforeEach(() => {
  telemetry = startTestTelemetry();
});
afterEach(() => telemetry.stop());

const SPAN = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };

function logging(options: Partial<LogOptions> = {}) {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { lines, logger: createLogger({ serviceName: 'shop', level: 'info', destination, ...options }) };
}

const inOrder = trace.setSpanContext(withOrderKey(ROOT_CONTEXT, 'order-1', 'saga-1'), SPAN);

test('every line bears the span, the order key and the saga id, children and all levels included', () => {
  const { lines, logger } = logging();
  context.with(inOrder, () => {
    logger.info('one');
    logger.error({ err: new Error('x') }, 'two');
    logger.child({ part: 'p' }).warn({ more: 1 }, 'three');
  });
  expect(lines).toHaveLength(3);
  for (const line of lines) {
    expect(line).toMatchObject({
      service: 'shop',
      trace_id: SPAN.traceId,
      span_id: SPAN.spanId,
      trace_flags: '01',
      'order.event_id': 'order-1',
      'saga.id': 'saga-1',
    });
    expect(line).not.toHaveProperty('logging.googleapis.com/trace');
  }
});

test("bears Google Cloud's trace field when the project is known", () => {
  const { lines, logger } = logging({ projectId: 'shop-prod' });
  context.with(inOrder, () => logger.info('x'));
  expect(lines[0]?.['logging.googleapis.com/trace']).toBe(`projects/shop-prod/traces/${SPAN.traceId}`);
});

test('says nothing of a trace where there is none', () => {
  const { lines, logger } = logging({ projectId: 'shop-prod' });
  logger.info('outside');
  context.with(trace.setSpanContext(ROOT_CONTEXT, INVALID_SPAN_CONTEXT), () => logger.info('no-op span'));
  context.with(withOrderKey(ROOT_CONTEXT, 'order-1'), () => logger.info('an order without a span'));
  for (const line of lines) expect(Object.keys(line).join()).not.toMatch(/trace|span/);
  expect(lines[2]).toMatchObject({ 'order.event_id': 'order-1' });
});

test('an unsampled span is told by its flags', () => {
  const { lines, logger } = logging();
  context.with(trace.setSpanContext(ROOT_CONTEXT, { ...SPAN, traceFlags: 0 }), () => logger.info('x'));
  expect(lines[0]).toMatchObject({ trace_id: SPAN.traceId, trace_flags: '00' });
});

test('leaves out lines below its level', () => {
  const { lines, logger } = logging({ level: 'warn' });
  logger.info('x');
  expect(lines).toEqual([]);
});

test('redacts what is on the list, at each depth, and what the user adds', () => {
  const { lines, logger } = logging({ redact: ['customer.vatId', '*.ticket'] });
  for (const name of SENSITIVE_FIELDS) {
    logger.info({
      [name]: 'needle',
      a: { [name]: 'needle', b: { [name]: 'needle', c: { [name]: ['needle'] } } },
    });
    expect(lines.at(-1), name).toMatchObject({ [name]: REDACTED, a: { b: { [name]: REDACTED } } });
  }
  logger.child({ email: 'needle' }).info({ customer: { vatId: 'needle' }, x: { ticket: 'needle', kept: 1 } });
  expect(lines.at(-1)).toMatchObject({ customer: { vatId: REDACTED }, x: { ticket: REDACTED, kept: 1 } });
  expect(JSON.stringify(lines)).not.toContain('needle');
});

test('takes what is personal by its form, and its own secrets, out of every text, and stays JSON', () => {
  const { lines, logger } = logging({ secrets: ['p+ss/word 1'] });
  logger.info(
    { url: 'http://x/?token=abc', list: ['é\n"ada@example.com"\\ada@example.com', 'p+ss/word 1'] },
    'to ada@example.com',
  );
  expect(lines[0]).toMatchObject({
    url: `http://x/?token=${REDACTED}`,
    list: [`é\n"${REDACTED}"\\${REDACTED}`, REDACTED],
    msg: `to ${REDACTED}`,
  });
});

test('of an error it tells type, message, stack and cause, and of its fields only plain ones', () => {
  const { lines, logger } = logging();
  const cause = Object.assign(new Error('no room for ada@example.com'), {
    code: '23514',
    detail: 'needle',
    table: 't',
  });
  const error = Object.assign(new Error('x', { cause }), {
    status: 500,
    body: { a: 'needle' },
    headers: ['needle'],
  });
  error.cause = Object.assign(cause, { cause: error }); // causes can go in a circle
  logger.error(error);
  logger.error({ err: new AggregateError([cause], 'all'), error: { type: 'X', message: 'stored' } }, 'two');
  expect(lines[0]).toMatchObject({
    err: {
      type: 'Error',
      message: 'x',
      status: 500,
      cause: { type: '23514', message: `no room for ${REDACTED}`, table: 't' },
    },
  });
  expect(lines[1]).toMatchObject({
    err: { errors: [{ table: 't' }] },
    error: { type: 'X', message: 'stored' },
  });
  expect(JSON.stringify(lines)).not.toMatch(/needle|ada@/);
});

test("names its fields as Google Cloud's logging and error reporting do", () => {
  const { lines, logger } = logging({
    format: 'google',
    projectId: 'shop-prod',
    level: 'trace',
    serviceVersion: '1.2',
  });
  context.with(inOrder, () => logger.warn('one'));
  for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const) logger[level]('x');
  logger.error({ err: new Error('of ada@example.com') }, 'failed');
  expect(lines[0]).toMatchObject({
    severity: 'WARNING',
    message: 'one',
    'logging.googleapis.com/trace': `projects/shop-prod/traces/${SPAN.traceId}`,
    'logging.googleapis.com/spanId': SPAN.spanId,
    'logging.googleapis.com/trace_sampled': true,
    serviceContext: { service: 'shop', version: '1.2' },
    'order.event_id': 'order-1',
  });
  expect(new Date(String(lines[0]?.['time'])).toISOString()).toBe(lines[0]?.['time']);
  expect(lines[0]).not.toHaveProperty('level');
  const severities = lines.slice(1, 7).map((line) => line['severity']);
  expect(severities).toEqual(['DEBUG', 'DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL']);
  expect(lines.at(-1)).toMatchObject({
    stack_trace: expect.stringMatching(/^Error: of \[redacted\]\n +at /),
  });
});
