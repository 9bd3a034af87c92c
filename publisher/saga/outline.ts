import type { SqlClient } from '../../shared/storage/sql-client.ts';
import type { Saga } from './define.ts';
import type { SagaShape } from './machine.ts';

/** What of a saga's definition can be told without its code: enough to show a saga step by step. */
export interface SagaOutline {
  readonly name: string;
  readonly version: number;
  readonly steps: readonly {
    readonly name: string;
    readonly kind: 'function' | 'job';
    readonly compensation:
      | { readonly kind: 'skip'; readonly reason: string }
      | { readonly kind: 'run' | 'job' };
  }[];
}

export function outlineOf({ name, version, steps }: Saga): SagaOutline {
  return {
    name,
    version,
    steps: steps.map((step) => ({
      name: step.name,
      kind: step.job ? 'job' : 'function',
      compensation:
        step.compensation.kind === 'skip'
          ? { kind: 'skip', reason: step.compensation.reason }
          : { kind: step.compensation.kind },
    })),
  };
}

export function shapeOfOutline({ steps }: SagaOutline): SagaShape {
  return {
    steps: steps.map(({ name, kind, compensation }) => ({ name, kind, compensation: compensation.kind })),
  };
}

/** Stores the outlines of what an engine runs. A version whose steps were changed is told as it is now. */
export async function storeOutlines(client: SqlClient, sagas: readonly Saga[]): Promise<void> {
  const rows = sagas.map(outlineOf);
  await client.query(
    `INSERT INTO throughline.saga_definition AS d (name, version, steps)
     SELECT name, version, steps FROM json_to_recordset($1::json) AS x (name text, version integer, steps json)
     ORDER BY name, version
     ON CONFLICT (name, version) DO UPDATE SET steps = excluded.steps WHERE d.steps::text <> excluded.steps::text`,
    [JSON.stringify(rows)],
  );
}

/** Undefined: no engine that knows the saga was started on this database. */
export async function readOutline(
  client: SqlClient,
  { name, version }: { readonly name: string; readonly version: number },
): Promise<SagaOutline | undefined> {
  const { rows } = await client.query<{ steps: SagaOutline['steps'] }>(
    'SELECT steps FROM throughline.saga_definition WHERE name = $1 AND version = $2',
    [name, version],
  );
  return rows[0] && { name, version, steps: rows[0].steps };
}
