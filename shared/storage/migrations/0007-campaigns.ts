import type { Migration } from '../migrate.ts';

export const campaigns: Migration = {
  name: '0007-campaigns',
  sql: `
-- One notification to many recipients. Changed only when its state does: whoever sends holds a share lock on it.
CREATE TABLE throughline.campaign (
  number         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id             text NOT NULL UNIQUE,     -- chosen by whoever registers it
  state          text NOT NULL DEFAULT 'draft'
    CHECK (state IN ('draft', 'freezing', 'frozen', 'running', 'paused', 'halted', 'cancelled', 'finished')),
  returns_to     text,                     -- paused or halted: what it goes on with
  channel        text NOT NULL,
  category       text NOT NULL,            -- what recipients unsubscribe from
  definition     json NOT NULL,            -- as it was registered
  expected_count integer,                  -- from its approval on
  tolerance      double precision NOT NULL,
  starts_at      timestamptz,              -- not before; null: nobody has started it
  reason         text,                     -- why it is paused, halted or cancelled
  created_by     text NOT NULL,
  created_at     timestamptz NOT NULL DEFAULT now(),
  approved_by    text,
  approved_at    timestamptz,
  started_at     timestamptz,
  cancelled_by   text,
  ended_at       timestamptz,              -- nothing is left to be decided
  span           json                      -- reserved when it was approved
);
CREATE INDEX campaign_open ON throughline.campaign (number) WHERE ended_at IS NULL AND state <> 'draft';

-- How far a campaign is. Changed with every page and every batch, by one process at a time.
CREATE TABLE throughline.campaign_progress (
  campaign     bigint PRIMARY KEY REFERENCES throughline.campaign,
  segment      integer NOT NULL DEFAULT 0, -- which of its segments is being frozen, from 0
  after_key    text,                       -- up to which recipient of it
  frozen       integer NOT NULL DEFAULT 0, -- rows in the ledger, counted apart from it
  repeated     integer NOT NULL DEFAULT 0, -- were in the ledger already: in two segments, or with the same address
  frozen_at    timestamptz,
  enqueued     integer NOT NULL DEFAULT 0, -- recipients for whom a job was enqueued, each counted once
  paced_at     timestamptz,                -- up to when the rate is used up
  hold_until   timestamptz,                -- the partner asked for a rest
  watch_good   integer NOT NULL DEFAULT 0, -- sent, and failed or uncertain, when the failures were last looked at
  watch_bad    integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Every recipient of a campaign, and what became of them. No row is ever deleted while its campaign is kept.
CREATE TABLE throughline.campaign_recipient (
  campaign     bigint NOT NULL,
  recipient_id text NOT NULL,
  state        text NOT NULL
    CHECK (state IN ('pending', 'queued', 'sending', 'sent', 'suppressed', 'cancelled', 'failed', 'uncertain')),
  address      text NOT NULL,              -- as it was when the audience was frozen
  address_key  text NOT NULL,              -- the same for all ways of writing the address
  fields       json NOT NULL,              -- what the template names
  time_zone    text,
  round        integer NOT NULL DEFAULT 0, -- how many jobs it had; a job of an earlier round is stale
  tries        integer NOT NULL DEFAULT 0, -- how often sending it was begun
  due_at       timestamptz NOT NULL DEFAULT now(), -- pending: not before; uncertain: when to ask the partner
  changed_at   timestamptz NOT NULL DEFAULT now(),
  reference    text,                       -- sent: the partner's number for it
  reason       text,                       -- why it is in a state that is no success
  PRIMARY KEY (campaign, recipient_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
CREATE UNIQUE INDEX campaign_recipient_address ON throughline.campaign_recipient (campaign, address_key);
CREATE INDEX campaign_recipient_pending ON throughline.campaign_recipient (campaign, due_at, recipient_id) WHERE state = 'pending';
CREATE INDEX campaign_recipient_uncertain ON throughline.campaign_recipient (due_at) WHERE state = 'uncertain';
CREATE INDEX campaign_recipient_sending ON throughline.campaign_recipient (changed_at) WHERE state = 'sending';

-- How many recipients are in each state, kept by the database itself: whatever changes the ledger is counted. Slots, so that
-- those who write at the same time do not wait for each other; their sum counts.
CREATE TABLE throughline.campaign_tally (
  campaign bigint NOT NULL,
  slot     smallint NOT NULL,
  state    text NOT NULL,
  count    integer NOT NULL,
  PRIMARY KEY (campaign, slot, state)
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000);

CREATE FUNCTION throughline.count_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO throughline.campaign_tally AS t (campaign, slot, state, count)
  SELECT campaign, pg_backend_pid() % 16, state, count(*) FROM added GROUP BY campaign, state ORDER BY campaign, state
  ON CONFLICT (campaign, slot, state) DO UPDATE SET count = t.count + excluded.count;
  RETURN NULL;
END $$;
CREATE FUNCTION throughline.count_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO throughline.campaign_tally AS t (campaign, slot, state, count)
  SELECT campaign, pg_backend_pid() % 16, state, sum(n) FROM (
    SELECT campaign, state, count(*) AS n FROM after GROUP BY campaign, state
    UNION ALL SELECT campaign, state, -count(*) FROM before GROUP BY campaign, state
  ) d GROUP BY campaign, state HAVING sum(n) <> 0 ORDER BY campaign, state
  ON CONFLICT (campaign, slot, state) DO UPDATE SET count = t.count + excluded.count;
  RETURN NULL;
END $$;
CREATE TRIGGER count_frozen AFTER INSERT ON throughline.campaign_recipient
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION throughline.count_frozen();
CREATE TRIGGER count_changed AFTER UPDATE ON throughline.campaign_recipient
  REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION throughline.count_changed();

-- Whom nothing is sent, or nothing of one category.
CREATE TABLE throughline.suppression (
  channel     text NOT NULL,
  address_key text NOT NULL,
  category    text NOT NULL,               -- '*': all of them
  reason      text NOT NULL,
  actor       text NOT NULL,
  added_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (channel, address_key, category)
);

-- Until when it is quiet where the recipient lives; null: it is not.
CREATE FUNCTION throughline.quiet_until(at timestamptz, zone text, begins time, ends time) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN begins < ends AND l::time >= begins AND l::time < ends THEN (l::date + ends) AT TIME ZONE zone
    WHEN begins > ends AND l::time >= begins THEN (l::date + 1 + ends) AT TIME ZONE zone
    WHEN begins > ends AND l::time < ends THEN (l::date + ends) AT TIME ZONE zone
  END FROM (SELECT at AT TIME ZONE zone AS l) x
$$;

-- What the send span of a job is linked to, besides its parent.
ALTER TABLE throughline.outbox ADD COLUMN links json;
`,
};
