import type { Migration } from '../migrate.ts';

export const sagas: Migration = {
  name: '0002-sagas',
  sql: `
-- A process that runs sagas. Its lease is the lease of all the sagas that it owns.
CREATE TABLE throughline.saga_runner (
  id          uuid PRIMARY KEY,
  service     text NOT NULL,
  host        text NOT NULL,
  pid         integer NOT NULL,
  started_at  timestamptz NOT NULL DEFAULT now(),
  lease_until timestamptz NOT NULL
);

CREATE TABLE throughline.saga (
  id          text PRIMARY KEY,            -- time-ordered (UUID version 7) unless the caller chose it
  name        text NOT NULL,
  version     integer NOT NULL,
  order_key   text,
  input       json NOT NULL,
  state       text NOT NULL CHECK (state IN ('running', 'waiting', 'compensating', 'stuck', 'confirmed', 'compensated', 'resolved')),
  step        text,                        -- the step that is run, awaited, compensated or stuck
  owner       uuid,                        -- saga_runner.id; null: nobody works on it now
  wake_at     timestamptz,                 -- when somebody has to look at it again, though nothing came

  parked      text,                        -- why no process runs it (unknown version)
  span        json NOT NULL,               -- the reserved saga span
  started_at  timestamptz NOT NULL,
  ended_at    timestamptz,
  reason      text                         -- of failure, or of being stuck
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX saga_owned ON throughline.saga (owner) WHERE ended_at IS NULL;
CREATE INDEX saga_wake ON throughline.saga (wake_at) WHERE ended_at IS NULL AND owner IS NULL;
CREATE INDEX saga_order_key ON throughline.saga (order_key);

-- What happened to a saga, in order; append-only. Its state is the fold of these.
CREATE TABLE throughline.saga_journal (
  saga_id text NOT NULL,
  seq     integer NOT NULL,                -- from 1, without gaps; the key makes two writers exclude each other
  writer  uuid NOT NULL,                   -- the runner (or operator's process) that wrote it
  events  json NOT NULL,                   -- an array: what one checkpoint appended
  at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (saga_id, seq)
);

-- A signal that came for a saga and is not taken into its journal yet.
CREATE TABLE throughline.saga_signal (
  saga_id     text NOT NULL,
  name        text NOT NULL,
  payload     json NOT NULL,
  carrier     json NOT NULL,               -- of what brought it
  received_at timestamptz NOT NULL DEFAULT now(),
  taken_at    timestamptz,                 -- when it was taken into the journal
  PRIMARY KEY (saga_id, name)
);
`,
};
