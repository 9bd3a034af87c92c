import type { Migration } from '../migrate.ts';

export const outboxAndInbox: Migration = {
  name: '0001-outbox-and-inbox',
  sql: `
CREATE SCHEMA IF NOT EXISTS throughline;

-- A job that was enqueued in a committed transaction and is not known to be finished.
CREATE TABLE throughline.outbox (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id       text NOT NULL UNIQUE,
  job_type     text NOT NULL,              -- workspace.set-up.v1
  topic        text NOT NULL,
  ordering_key text,
  order_key    text,
  data         text NOT NULL,              -- the payload as JSON, as it goes on the wire
  attributes   json NOT NULL,              -- the envelope's attributes, without trace context
  carrier      json NOT NULL,              -- trace context of whatever enqueued it
  enqueued_at  timestamptz NOT NULL DEFAULT now(),
  not_before   timestamptz,                -- unsent: do not try earlier (backoff after a failure)
  sent_at      timestamptz,                -- null: unsent
  sends        integer NOT NULL DEFAULT 0, -- how often it was published
  last_error   text
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX outbox_unsent ON throughline.outbox (id) WHERE sent_at IS NULL;
CREATE INDEX outbox_sent ON throughline.outbox (sent_at) WHERE sent_at IS NOT NULL;

-- What became of a job at its consumer. One row per job; consumer '*' holds tombstones that are valid for every consumer.
CREATE TABLE throughline.inbox (
  consumer    text NOT NULL,
  job_id      text NOT NULL,
  job_type    text NOT NULL,
  state       text NOT NULL CHECK (state IN ('claimed', 'waiting', 'done', 'dead', 'cancelled')),
  attempt     integer NOT NULL DEFAULT 0,  -- runs whose end is known, plus the one under way
  lost        integer NOT NULL DEFAULT 0,  -- claims that expired: their worker died
  claimed_by  uuid,
  claim_until timestamptz,
  claimed_at  timestamptz,
  first_at    timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  reason      text,
  PRIMARY KEY (consumer, job_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX inbox_finished ON throughline.inbox (finished_at) WHERE finished_at IS NOT NULL;
`,
};
