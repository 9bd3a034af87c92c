import { type Dashboard, type Panel, variable } from './panel.ts';
import { busy, perSecond, quantile, reached, told, within } from './query.ts';

const PROCESS = { job: { variable: 'process' } } as const;
const EACH = ['job', 'instance'] as const;
const NAMED = '{{job}} {{instance}}';

const NODE: readonly Panel[] = [
  {
    title: 'Which processes are there?',
    help: '1: Prometheus reaches it. 0: it has gone, or does not listen where prometheus.yml says.',
    as: 'lines',
    unit: 'count',
    alerts: ['ProcessesDown'],
    lines: [{ query: reached(), legend: NAMED }],
  },
  {
    title: 'Is a process busy with itself?',
    help: 'The share of time in which the event loop works. Near 1 for long: start more of them, or look for what blocks it.',
    as: 'lines',
    unit: 'share',
    lines: [
      { query: told('max', 'nodejs.eventloop.utilization', { where: PROCESS, by: EACH }), legend: NAMED },
    ],
  },
  {
    title: 'How much CPU does it use?',
    help: 'Cores, garbage collection and compiler threads included. At 1 its event loop has no more to give: `throughline capacity` says how many it takes.',
    as: 'lines',
    unit: 'cores',
    lines: [{ query: perSecond('process.cpu.time', { where: PROCESS, by: EACH }), legend: NAMED }],
  },
  {
    title: 'How late are timers?',
    help: '99 of 100 at most so late. Tens of ms: something blocks the event loop, and leases, acknowledgements and time-outs come late.',
    as: 'lines',
    unit: 'seconds',
    lines: [
      { query: told('max', 'nodejs.eventloop.delay.p99', { where: PROCESS, by: EACH }), legend: NAMED },
    ],
  },
  {
    title: 'How much memory does it use?',
    help: 'Of the heap, all spaces. A floor that rises from collection to collection is a leak.',
    as: 'lines',
    unit: 'bytes',
    lines: [{ query: told('sum', 'v8js.memory.heap.used', { where: PROCESS, by: EACH }), legend: NAMED }],
  },
  {
    title: 'How much memory has it in all?',
    help: 'Resident: heap, buffers, code and stacks. What the container is allowed is the limit.',
    as: 'lines',
    unit: 'bytes',
    lines: [{ query: told('max', 'process.memory.usage', { where: PROCESS, by: EACH }), legend: NAMED }],
  },
  {
    title: 'How much time goes into garbage collection?',
    help: 'The share of time that it takes. More than a few percent: too little memory, or too much waste.',
    as: 'lines',
    unit: 'share',
    lines: [{ query: busy('v8js.gc.duration', { where: PROCESS, by: EACH }), legend: NAMED }],
  },
  {
    title: 'What keeps the event loop alive?',
    help: 'Sockets, timers and the like. A number that only rises is a leak.',
    as: 'lines',
    unit: 'count',
    lines: [
      {
        query: told('sum', 'v8js.resource.active', { where: PROCESS, by: ['job', 'v8js.resource.type'] }),
        legend: '{{job}} {{v8js_resource_type}}',
      },
    ],
  },
];

const DATABASE: readonly Panel[] = [
  {
    title: 'Is PostgreSQL there?',
    help: 'Connections lost or refused in five minutes. A few: a restart, statements were repeated. Many: orders stand still.',
    as: 'lines',
    unit: 'count',
    limit: 30,
    alerts: ['DatabaseErrors'],
    lines: [
      {
        query: within('5m', 'throughline.database.errors', { where: PROCESS, by: ['job', 'error.type'] }),
        legend: '{{job}} {{error_type}}',
      },
    ],
  },
  {
    title: 'How long do statements take?',
    help: '95 of 100 at most so long, of those that belong to a request, a step or a job. `COMMIT` that grows: the disk.',
    as: 'lines',
    unit: 'seconds',
    lines: [
      {
        query: quantile(0.95, 'db.client.operation.duration', { where: PROCESS, by: ['db.operation.name'] }),
        legend: '{{db_operation_name}}',
      },
    ],
  },
  {
    title: 'How many statements are there, and which fail?',
    help: 'With their `error.type` where they failed.',
    as: 'lines',
    unit: 'per second',
    lines: [
      {
        query: perSecond('db.client.operation.duration', {
          where: PROCESS,
          by: ['db.operation.name', 'error.type'],
        }),
        legend: '{{db_operation_name}} {{error_type}}',
      },
    ],
  },
];

const TELEMETRY: readonly Panel[] = [
  {
    title: 'Are spans lost?',
    help: 'In ten minutes. `queue_full`: more than could be exported. `export_failed`: the collector was away. Traces of these minutes have holes.',
    as: 'lines',
    unit: 'count',
    limit: 1,
    alerts: ['SpansDropped'],
    lines: [
      {
        query: within('10m', 'throughline.spans.dropped', { where: PROCESS, by: ['job', 'reason'] }),
        legend: '{{job}} {{reason}}',
      },
    ],
  },
  {
    title: 'How many spans wait for export?',
    help: 'Of those that may. Near the capacity: the collector is too slow, or away.',
    as: 'lines',
    unit: 'count',
    lines: [
      {
        query: told('sum', 'otel.sdk.processor.span.queue.size', { where: PROCESS, by: EACH }),
        legend: NAMED,
      },
      {
        query: told('max', 'otel.sdk.processor.span.queue.capacity', { where: PROCESS }),
        legend: 'capacity',
      },
    ],
  },
  {
    title: 'How many spans are exported, and how many left out?',
    help: 'Left out by sampling (`coin`: as it should), or kept against the coin, by why.',
    as: 'lines',
    unit: 'per second',
    lines: [
      { query: perSecond('otel.sdk.processor.span.processed', { where: PROCESS }), legend: 'processed' },
      {
        query: perSecond('throughline.sampling.dropped', { where: PROCESS, by: ['reason'] }),
        legend: 'left out: {{reason}}',
      },
      {
        query: perSecond('throughline.sampling.kept', { where: PROCESS, by: ['reason'] }),
        legend: 'kept: {{reason}}',
      },
    ],
  },
];

/** What everything runs on: Node, PostgreSQL, and telemetry itself. */
export const runtimeDashboard: Dashboard = {
  name: 'runtime',
  title: 'Runtime',
  about: 'Are the processes well, and the database, and is what we see all there is?',
  variables: [variable('process', 'Process', { metric: 'nodejs.eventloop.utilization', of: 'job' })],
  sections: [
    { title: 'Node', panels: NODE },
    { title: 'PostgreSQL', panels: DATABASE },
    { title: 'Telemetry', panels: TELEMETRY },
  ],
};
