import type { Migration } from '../migrate.ts';

export const schedulesAndLimits: Migration = {
  name: '0008-schedules-and-limits',
  sql: `
-- A rate that processes share: a bucket of tokens, which PostgreSQL's clock fills.
CREATE TABLE throughline.shared_rate (
  name                text PRIMARY KEY,
  per_second          double precision NOT NULL CHECK (per_second > 0),
  burst               double precision NOT NULL CHECK (burst >= 1),
  declared_per_second double precision NOT NULL,  -- what the code asked for last; an operator may have changed it since
  declared_burst      double precision NOT NULL,
  tokens              double precision NOT NULL,  -- below 0: so many are promised to processes that wait for them
  filled_at           timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- A job that is not due yet. Moved to the outbox when it is.
CREATE TABLE throughline.delayed_job (
  job_id       text PRIMARY KEY,
  run_at       timestamptz NOT NULL,
  job_type     text NOT NULL,
  topic        text NOT NULL,
  ordering_key text,
  order_key    text,
  data         text NOT NULL,
  attributes   json NOT NULL,
  carrier      json NOT NULL,
  links        json,
  enqueued_at  timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX delayed_job_due ON throughline.delayed_job (run_at, job_id);

ALTER TABLE throughline.outbox
  ADD COLUMN late boolean NOT NULL DEFAULT false;    -- due so long after it was enqueued that its send begins a trace

-- A job that is enqueued again and again.
CREATE TABLE throughline.schedule (
  name         text PRIMARY KEY,
  cron         text NOT NULL,
  time_zone    text NOT NULL,
  missed       text NOT NULL CHECK (missed IN ('skip', 'fire-once')),
  job_type     text NOT NULL,
  next_at      timestamptz,                       -- the next tick; null: there is none
  last_tick    timestamptz,                       -- the last one that was fired
  registered_at timestamptz NOT NULL DEFAULT now(),
  paused_at    timestamptz,
  paused_by    text,
  pause_reason text
);
CREATE INDEX schedule_next ON throughline.schedule (next_at) WHERE paused_at IS NULL;

-- How many jobs may run at once, in all workers, or of each key.
CREATE TABLE throughline.job_limit (
  name                 text PRIMARY KEY,
  max_running          integer NOT NULL CHECK (max_running >= 1),
  declared_max_running integer NOT NULL
);

-- A job that counts for a limit: for as long as its claim in the inbox stands, or its turn is kept for it.
CREATE TABLE throughline.limit_slot (
  limit_name text NOT NULL,
  consumer   text NOT NULL,
  job_id     text NOT NULL,
  key        text NOT NULL,                       -- empty: the limit has no keys
  worker     uuid,                                -- whose claim it is; null: nobody's yet
  kept_until timestamptz,                         -- of a job that was told to come back
  PRIMARY KEY (limit_name, consumer, job_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX limit_slot_job ON throughline.limit_slot (consumer, job_id);
-- A hash: keys may be longer than a B-tree takes.
CREATE INDEX limit_slot_key ON throughline.limit_slot (limit_name, hashtextextended(key, 0));
`,
};
