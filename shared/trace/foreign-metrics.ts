import type { MetricSpec } from './metric-catalogue.ts';

/**
 * What OpenTelemetry itself and its instrumentations measure in our processes: names and labels as the versions in
 * package.json expose them. docs/metrics.md is checked against it, and a running system against both
 * (test/metrics/running.test.ts). The buckets are theirs.
 */
type ForeignSpec = Omit<MetricSpec, 'buckets'>;

const PROCESSOR = ['otel.component.type', 'otel.component.name'] as const;
const SPACE = ['v8js.heap.space.name'] as const;
const SERVER = ['server.address', 'server.port'] as const;

export const FOREIGN_METRICS = {
  'http.server.request.duration': {
    kind: 'histogram',
    unit: 's',
    labels: [
      'http.request.method',
      'http.route',
      'http.response.status_code',
      'error.type',
      'url.scheme',
      'network.protocol.version',
    ],
    meaning: 'one request to an HTTP server of ours; without a route where none is meant',
  },
  'http.client.request.duration': {
    kind: 'histogram',
    unit: 's',
    labels: [
      'http.request.method',
      'http.response.status_code',
      'error.type',
      ...SERVER,
      'url.scheme',
      'network.protocol.version',
    ],
    meaning: 'one request by `fetch`, each attempt for itself',
  },
  'db.client.operation.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['db.system.name', 'db.namespace', 'db.operation.name', 'error.type', ...SERVER],
    meaning: 'one statement to PostgreSQL that was sent within a span, by its first word',
  },
  'otel.sdk.processor.span.processed': {
    kind: 'counter',
    unit: '{span}',
    labels: [...PROCESSOR, 'error.type'],
    meaning: 'spans that left the queue, or with `error.type` were lost',
  },
  'otel.sdk.processor.span.queue.capacity': {
    kind: 'gauge',
    unit: '{span}',
    labels: PROCESSOR,
    meaning: 'how many spans may wait for export',
  },
  'otel.sdk.processor.span.queue.size': {
    kind: 'gauge',
    unit: '{span}',
    labels: PROCESSOR,
    meaning: 'how many do',
  },
  'nodejs.eventloop.utilization': {
    kind: 'gauge',
    unit: '1',
    labels: [],
    meaning: 'the share of time in which the event loop was busy',
  },
  'nodejs.eventloop.time': {
    kind: 'counter',
    unit: 's',
    labels: ['nodejs.eventloop.state'],
    meaning: 'time in which it was `active` or `idle`',
  },
  'nodejs.eventloop.delay.min': {
    kind: 'gauge',
    unit: 's',
    labels: [],
    meaning: 'how late timers were since the last collection, at least',
  },
  'nodejs.eventloop.delay.max': { kind: 'gauge', unit: 's', labels: [], meaning: 'at most' },
  'nodejs.eventloop.delay.mean': { kind: 'gauge', unit: 's', labels: [], meaning: 'on average' },
  'nodejs.eventloop.delay.stddev': {
    kind: 'gauge',
    unit: 's',
    labels: [],
    meaning: 'its standard deviation',
  },
  'nodejs.eventloop.delay.p50': { kind: 'gauge', unit: 's', labels: [], meaning: 'for half of them' },
  'nodejs.eventloop.delay.p90': { kind: 'gauge', unit: 's', labels: [], meaning: 'for nine in ten' },
  'nodejs.eventloop.delay.p99': { kind: 'gauge', unit: 's', labels: [], meaning: 'for 99 in a hundred' },
  'v8js.gc.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['v8js.gc.type'],
    meaning: 'one garbage collection',
  },
  'v8js.memory.heap.space.size': {
    kind: 'gauge',
    unit: 'By',
    labels: SPACE,
    meaning: 'memory that a space of the heap has',
  },
  'v8js.memory.heap.used': { kind: 'gauge', unit: 'By', labels: SPACE, meaning: 'memory that it uses' },
  'v8js.memory.heap.space.available_size': {
    kind: 'gauge',
    unit: 'By',
    labels: SPACE,
    meaning: 'memory that it has left',
  },
  'v8js.memory.heap.space.physical_size': {
    kind: 'gauge',
    unit: 'By',
    labels: SPACE,
    meaning: 'memory that is really there',
  },
  'v8js.resource.active': {
    kind: 'gauge',
    unit: '{resource}',
    labels: ['v8js.resource.type'],
    meaning: 'what keeps the event loop alive: sockets, timers …',
  },
} as const satisfies Readonly<Record<string, ForeignSpec>>;
