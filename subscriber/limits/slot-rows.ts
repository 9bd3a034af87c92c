import type { Transaction } from '../../shared/storage/database.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';

/** A limit, and whose turn it is: the empty key where it has none. */
export interface SlotKey {
  readonly limit: string;
  readonly key: string;
}

export interface WantedSlot extends SlotKey {
  /** Others wait for it in this worker: the job gets it only if it was kept for it. Default false. */
  readonly isBehind?: boolean;
}

/** A job that wants a slot of each of these. */
export interface SlotRequest {
  readonly consumer: string;
  readonly jobId: string;
  readonly wanted: readonly WantedSlot[];
  /** The worker that has the job's claim; undefined: it is to come back, and the slots are kept for it. */
  readonly worker: string | undefined;
}

/** Undefined: it has its slots. Otherwise the first limit that has none for it, and then it has none at all. */
export type SlotAnswer = SlotKey | undefined;

export interface DeclaredLimit {
  readonly name: string;
  readonly maxRunning: number;
}

/** A limit that an operator changed stays so until the code asks for another number. */
export async function declareLimits(client: SqlClient, limits: readonly DeclaredLimit[]): Promise<void> {
  await client.query(
    `INSERT INTO throughline.job_limit AS l (name, max_running, declared_max_running)
     SELECT name, max_running, max_running FROM unnest($1::text[], $2::integer[]) AS x (name, max_running) ORDER BY name
     ON CONFLICT (name) DO UPDATE
     SET max_running = excluded.max_running, declared_max_running = excluded.declared_max_running
     WHERE l.declared_max_running <> excluded.declared_max_running`,
    [limits.map(({ name }) => name), limits.map(({ maxRunning }) => maxRunning)],
  );
}

/** Shape: whether there is such a limit. */
export async function updateLimit(client: SqlClient, { name, maxRunning }: DeclaredLimit): Promise<boolean> {
  const { rowCount } = await client.query(
    'UPDATE throughline.job_limit SET max_running = $2 WHERE name = $1',
    [name, maxRunning],
  );
  return rowCount === 1;
}

interface Holder {
  readonly limit_name: string;
  readonly key: string;
  readonly consumer: string;
  readonly job_id: string;
  readonly is_live: boolean;
}

/**
 * Gives out slots. One transaction at a time for each limit: what is counted stays true until it has committed.
 *
 * Shape: one answer per request, in order; undefined in place of all of them when a limit was not declared.
 */
export async function takeSlots(
  tx: Transaction,
  requests: readonly SlotRequest[],
  keptMs: number,
): Promise<SlotAnswer[] | undefined> {
  const names = [...new Set(requests.flatMap(({ wanted }) => wanted.map(({ limit }) => limit)))].sort();
  const { rows: limits } = await tx.query<{ name: string; max_running: number }>({
    name: 'throughline-limit-lock',
    text: 'SELECT name, max_running FROM throughline.job_limit WHERE name = ANY($1) ORDER BY name FOR UPDATE',
    values: [names],
  });
  if (limits.length < names.length) return undefined;
  const most = new Map(limits.map(({ name, max_running }) => [name, max_running]));
  const holders = await readHolders(tx, requests);
  const live = Map.groupBy(
    holders.filter(({ is_live }) => is_live),
    ({ limit_name, key }) => idOf({ limit: limit_name, key }),
  );
  const taken = new Map([...live].map(([id, rows]) => [id, new Set(rows.map(jobOf))]));
  const answers = requests.map((request) => {
    const job = jobOf({ consumer: request.consumer, job_id: request.jobId });
    const full = request.wanted.find((slot) => {
      const jobs = taken.get(idOf(slot)) ?? new Set();
      return !jobs.has(job) && (slot.isBehind === true || jobs.size >= (most.get(slot.limit) ?? 0));
    });
    for (const slot of request.wanted) {
      const jobs = taken.get(idOf(slot)) ?? new Set();
      taken.set(idOf(slot), full ? jobs : jobs.add(job));
      if (full) jobs.delete(job);
    }
    return full;
  });
  await removeSlots(tx, [
    ...holders
      .filter(({ is_live }) => !is_live)
      .map(({ limit_name: limit, consumer, job_id: jobId }) => ({ limit, consumer, jobId })),
    ...requests.filter((_, index) => answers[index]),
  ]);
  await writeSlots(
    tx,
    requests.filter((_, index) => !answers[index]),
    keptMs,
  );
  return answers;
}

/** Who has slots of these limits and keys. A slot is as good as its job's claim, or as the time for which it is kept. */
async function readHolders(client: SqlClient, requests: readonly SlotRequest[]): Promise<Holder[]> {
  const slots = new Map(requests.flatMap(({ wanted }) => wanted.map((slot) => [idOf(slot), slot])));
  const { rows } = await client.query<Holder & Record<string, unknown>>({
    name: 'throughline-limit-holders',
    text: `
      SELECT s.limit_name, s.key, s.consumer, s.job_id, (coalesce(s.kept_until > clock_timestamp(), false) OR EXISTS (
          SELECT FROM throughline.inbox i WHERE i.consumer = s.consumer AND i.job_id = s.job_id
            AND i.state = 'claimed' AND i.claimed_by = s.worker AND i.claim_until > clock_timestamp())) AS is_live
      FROM unnest($1::text[], $2::text[]) AS w (limit_name, key) JOIN throughline.limit_slot s
        ON s.limit_name = w.limit_name AND hashtextextended(s.key, 0) = hashtextextended(w.key, 0) AND s.key = w.key`,
    values: [[...slots.values()].map(({ limit }) => limit), [...slots.values()].map(({ key }) => key)],
  });
  return rows;
}

async function writeSlots(
  client: SqlClient,
  requests: readonly SlotRequest[],
  keptMs: number,
): Promise<void> {
  // A statement must not write one row twice.
  const rows = [
    ...new Map(
      requests.flatMap(({ consumer, jobId, wanted, worker }) =>
        wanted.map(({ limit, key }) => [
          JSON.stringify([limit, consumer, jobId]),
          { limit, key, consumer, jobId, worker: worker ?? null },
        ]),
      ),
    ).values(),
  ];
  if (rows.length === 0) return;
  await client.query({
    name: 'throughline-limit-write',
    text: `
      INSERT INTO throughline.limit_slot (limit_name, key, consumer, job_id, worker, kept_until)
      SELECT limit_name, key, consumer, job_id, worker,
        CASE WHEN worker IS NULL THEN clock_timestamp() + $6 * interval '1 millisecond' END
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[]) AS x (limit_name, key, consumer, job_id, worker)
      ON CONFLICT (limit_name, consumer, job_id)
      DO UPDATE SET key = excluded.key, worker = excluded.worker, kept_until = excluded.kept_until
      WHERE excluded.worker IS NOT NULL OR limit_slot.worker IS NULL`, // else it runs by now, elsewhere
    values: [
      rows.map(({ limit }) => limit),
      rows.map(({ key }) => key),
      rows.map(({ consumer }) => consumer),
      rows.map(({ jobId }) => jobId),
      rows.map(({ worker }) => worker),
      keptMs,
    ],
  });
}

interface JobOfConsumer {
  /** Undefined: its slots of all limits. */
  readonly limit?: string;
  readonly consumer: string;
  readonly jobId: string;
}

/** `worker`: only what it holds itself. Another one may run the job by now. */
export async function removeSlots(
  client: SqlClient,
  jobs: readonly JobOfConsumer[],
  worker?: string,
): Promise<void> {
  if (jobs.length === 0) return;
  await client.query({
    name: 'throughline-limit-remove',
    text: `
      DELETE FROM throughline.limit_slot s USING unnest($1::text[], $2::text[], $3::text[]) AS x (consumer, job_id, limit_name)
      WHERE s.consumer = x.consumer AND s.job_id = x.job_id AND (x.limit_name IS NULL OR s.limit_name = x.limit_name)
        AND ($4::uuid IS NULL OR s.worker = $4)`,
    values: [
      jobs.map(({ consumer }) => consumer),
      jobs.map(({ jobId }) => jobId),
      jobs.map(({ limit }) => limit ?? null),
      worker ?? null,
    ],
  });
}

function idOf({ limit, key }: SlotKey): string {
  return `${limit}\0${key}`;
}

function jobOf({ consumer, job_id }: Pick<Holder, 'consumer' | 'job_id'>): string {
  return `${consumer}\0${job_id}`;
}
