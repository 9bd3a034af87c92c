import type { Migration } from '../migrate.ts';

export const deadLetters: Migration = {
  name: '0006-dead-letters',
  sql: `
-- A message that was given up, as it was, and what became of it.
CREATE TABLE throughline.dead_letter (
  id             text PRIMARY KEY,          -- follows from the death, so that it is kept once
  state          text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'redriven', 'dropped')),
  job_id         text NOT NULL,             -- the message's id where it bears no job's
  job_type       text,
  order_key      text,
  saga_id        text,
  topic          text NOT NULL,             -- to which it is sent when it is redriven
  subscription   text,                      -- at which it died
  consumer       text,                      -- in whose inbox the job is dead
  given_up_by    text NOT NULL CHECK (given_up_by IN ('worker', 'pubsub', 'unknown')),
  reason         text NOT NULL,
  error_type     text,
  attempts       integer,
  message_id     text,                      -- of the message that died
  ordering_key   text,
  data           bytea NOT NULL,
  attributes     json NOT NULL,             -- of the message that died
  traceparent    text,                      -- the dead delivery's span, or else the one that sent the message
  published_at   timestamptz,
  died_at        timestamptz NOT NULL,
  kept_at        timestamptz NOT NULL DEFAULT now(),
  settled_at     timestamptz,               -- redriven or dropped
  settled_by     text,
  settled_reason text
);
CREATE INDEX dead_letter_died ON throughline.dead_letter (died_at, id);
CREATE INDEX dead_letter_state ON throughline.dead_letter (state, died_at, id);
CREATE INDEX dead_letter_type ON throughline.dead_letter (job_type, died_at, id);
-- Hashes: these are only compared, and may be longer than a B-tree takes.
CREATE INDEX dead_letter_order_key ON throughline.dead_letter USING hash (order_key);
CREATE INDEX dead_letter_job ON throughline.dead_letter USING hash (job_id);
CREATE INDEX dead_letter_saga ON throughline.dead_letter USING hash (saga_id);

-- How often the job was taken back from death: its attempts begin afresh, and their spans are other ones.
ALTER TABLE throughline.inbox ADD COLUMN redrives integer NOT NULL DEFAULT 0;

ALTER TABLE throughline.outbox
  ADD COLUMN bytes bytea,                            -- in place of data: what is not text
  ADD COLUMN once boolean NOT NULL DEFAULT false;    -- forgotten as soon as it is sent: no inbox will finish it
`,
};
