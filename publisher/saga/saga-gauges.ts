import type { Database } from '../../shared/storage/database.ts';
import { observeDatabase } from '../../shared/storage/database-gauges.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import type { Observation } from '../../shared/trace/meters.ts';
import { SAGA_NAME, SAGA_STEP } from '../../shared/trace/semconv.ts';
import type { Saga } from './define.ts';

const GAUGES = [
  'throughline.sagas.open',
  'throughline.sagas.stuck',
  'throughline.compensations.unresolved',
  'throughline.compensations.oldest_unresolved_age',
] as const;
const STATES = ['running', 'waiting', 'compensating', 'stuck'] as const;

interface OpenSagas {
  readonly name: string;
  readonly state: string;
  readonly step: string | null;
  readonly sagas: number;
  /** Of the oldest, in seconds. */
  readonly age: number;
}

/**
 * Publishes gauges of the sagas that have not ended: how many there are in each state, which of them are stuck, and where
 * something is still to be undone. Every label set of `definitions` is there from the start, at 0.
 */
export function observeSagas(
  database: Database,
  definitions: readonly Pick<Saga, 'name' | 'steps'>[],
): { stop(): void } {
  return observeDatabase(database, GAUGES, async (client) => {
    const open = await readOpen(client);
    const names = new Set([...definitions.map(({ name }) => name), ...open.map(({ name }) => name)]);
    return [...names].flatMap((name) => {
      const known = definitions.filter((one) => one.name === name).flatMap(({ steps }) => steps);
      return ofSaga(
        name,
        known.map((step) => step.name),
        open.filter((one) => one.name === name),
      );
    });
  });
}

function ofSaga(name: string, knownSteps: readonly string[], open: readonly OpenSagas[]): Observation[] {
  const label = { [SAGA_NAME]: name };
  const undoing = open.filter(({ state }) => state === 'compensating' || state === 'stuck');
  const steps = new Set([...knownSteps, ...undoing.map(({ step }) => step ?? '')]);
  const total = (rows: readonly OpenSagas[]) => rows.reduce((sum, { sagas }) => sum + sagas, 0);
  return [
    ...STATES.map((state) => ({
      gauge: 'throughline.sagas.open' as const,
      value: total(open.filter((row) => row.state === state)),
      attributes: { ...label, state },
    })),
    ...[...steps].flatMap((step) => {
      const here = undoing.filter((row) => (row.step ?? '') === step);
      const attributes = { ...label, [SAGA_STEP]: step };
      const stuck = total(here.filter(({ state }) => state === 'stuck'));
      return [
        { gauge: 'throughline.sagas.stuck' as const, value: stuck, attributes },
        { gauge: 'throughline.compensations.unresolved' as const, value: total(here), attributes },
      ];
    }),
    {
      gauge: 'throughline.compensations.oldest_unresolved_age',
      value: Math.max(0, ...undoing.map(({ age }) => age)),
      attributes: label,
    },
  ];
}

/** From the index of those that have not ended, which are few of many. */
async function readOpen(client: SqlClient): Promise<OpenSagas[]> {
  const { rows } = await client.query<OpenSagas & Record<string, unknown>>({
    name: 'throughline-sagas-open',
    text: `
      SELECT name, state, step, count(*)::integer AS sagas, extract(epoch FROM now() - min(started_at))::float8 AS age
      FROM throughline.saga WHERE ended_at IS NULL GROUP BY name, state, step`,
  });
  return rows;
}
