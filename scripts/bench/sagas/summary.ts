import type { BenchResult } from '../report.ts';
import { ratio, type Summary, summarise } from '../statistics.ts';
import { CONTENDERS, type ContenderName, type SagaRun } from './assignment.ts';
import type { FlatRuns } from './flat.ts';
import type { RelayRun } from './relay.ts';
import { RIVALS } from './rivals.ts';
import { CONCURRENCIES, type Runs } from './speed.ts';

export interface Measured {
  readonly runs: Runs;
  readonly flat: FlatRuns;
  readonly relay: readonly RelayRun[];
  /** Why the rivals are missing. */
  readonly missing: string | undefined;
}

type Part = (run: SagaRun) => number;

const speed: Part = (run) => run.sagasPerSecond;
const cpu: Part = (run) => run.cpuMsPerSaga;
const cpuWithServer: Part = (run) => run.cpuMsPerSaga + run.serverCpuMsPerSaga;

export function summary(measured: Measured): BenchResult {
  const { runs, flat, relay, missing } = measured;
  const versus = (part: Part, rival: ContenderName, at: (typeof CONCURRENCIES)[number]) =>
    ratio(runs.throughline[at].map(part), runs[rival][at].map(part));
  return {
    bench: 'sagas',
    versions: { node: process.version, ...(missing === undefined && RIVALS) },
    figures: { ...contenderFigures(runs), ...flatFigures(flat), ...relayFigures(relay) },
    ratios: {
      sagas_vs_dbos: versus(speed, 'dbos', 50),
      sagas_vs_restate: versus(speed, 'restate', 50),
      sagas_vs_step_commit: versus(speed, 'step_commit', 50),
      sagas_vs_group_commit: versus(speed, 'group_commit', 50),
      sagas_vs_group_commit_traced: versus(speed, 'group_commit_traced', 50),
      cpu_vs_dbos: versus(cpu, 'dbos', 50),
      cpu_vs_restate: versus(cpu, 'restate', 50),
      sagas_vs_dbos_at_1: versus(speed, 'dbos', 1),
      sagas_vs_restate_at_1: versus(speed, 'restate', 1),
      sagas_vs_step_commit_at_1: versus(speed, 'step_commit', 1),
      cost_at_100k_vs_1k: ratio(flat.many.map(cpuWithServer), flat.few.map(cpuWithServer)),
      sagas_at_100k_vs_1k: ratio(flat.many.map(speed), flat.few.map(speed)),
    },
    notes: [
      'Measured: sagas that end within the window, the CPU of the process that runs them, and apart from it that of the server that stores them (PostgreSQL; Restate has its own).',
      "Not measured: the CPU of the receiver of Throughline's spans, the network, start-up. The others trace nothing, but for group_commit_traced.",
      'Cost at 100k against 1k: CPU per saga, PostgreSQL included, with so many finished sagas in the tables (fewer with --quick).',
      ...(missing === undefined ? [] : [`DBOS and Restate are left out: ${missing}`]),
    ],
  };
}

function contenderFigures(runs: Runs): Record<string, Summary> {
  const figures: Record<string, Summary> = {};
  for (const name of CONTENDERS) {
    for (const at of CONCURRENCIES) {
      const of = runs[name][at];
      if (of.length === 0) continue;
      const suffix = at === 50 ? '' : `_at_${at}`;
      figures[`${name}_sagas_per_s${suffix}`] = summarise(of.map(speed));
      figures[`${name}_cpu_ms_per_saga${suffix}`] = summarise(of.map(cpu));
      figures[`${name}_server_cpu_ms_per_saga${suffix}`] = summarise(of.map((run) => run.serverCpuMsPerSaga));
      figures[`${name}_p50_ms${suffix}`] = summarise(of.map((run) => run.p50Ms));
      figures[`${name}_p99_ms${suffix}`] = summarise(of.map((run) => run.p99Ms));
    }
  }
  return figures;
}

function flatFigures({ few, many }: FlatRuns): Record<string, Summary> {
  return {
    sagas_per_s_at_1k: summarise(few.map(speed)),
    sagas_per_s_at_100k: summarise(many.map(speed)),
    cpu_ms_per_saga_at_1k: summarise(few.map(cpuWithServer)),
    cpu_ms_per_saga_at_100k: summarise(many.map(cpuWithServer)),
  };
}

function relayFigures(relay: readonly RelayRun[]): Record<string, Summary> {
  return {
    relay_jobs_per_s: summarise(relay.map((run) => run.jobsPerSecond)),
    relay_cpu_ms_per_1000: summarise(relay.map((run) => run.relayCpuMsPer1000)),
    relay_worker_cpu_ms_per_1000: summarise(relay.map((run) => run.workerCpuMsPer1000)),
  };
}
