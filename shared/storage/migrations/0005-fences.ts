import type { Migration } from '../migrate.ts';

export const fences: Migration = {
  name: '0005-fences',
  sql: `
-- A rule that pauses or cancels jobs. It stands until it is lifted; lifted ones are kept.
CREATE TABLE throughline.fence (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  action      text NOT NULL CHECK (action IN ('pause', 'cancel')),
  job_name    text,                        -- without its version; all that are given must match
  campaign    text,
  order_key   text,
  actor       text NOT NULL,
  reason      text NOT NULL,
  carrier     json NOT NULL DEFAULT '{}',  -- trace context of whoever added it
  added_at    timestamptz NOT NULL DEFAULT now(),
  lifted_at   timestamptz,
  lifted_by   text,
  lift_reason text,
  CHECK (num_nonnulls(job_name, campaign, order_key) > 0)
);
-- One of a kind. Hashed, because an index takes no three values of a thousand characters.
CREATE UNIQUE INDEX fence_standing ON throughline.fence
  (action, hashtextextended(job_name, 0), hashtextextended(campaign, 0), hashtextextended(order_key, 0)) NULLS NOT DISTINCT
  WHERE lifted_at IS NULL;

-- Who cancelled a job, and by which fence.
ALTER TABLE throughline.inbox ADD COLUMN cancelled_by text, ADD COLUMN fence_id bigint;

-- What was cancelled is never forgotten: a redrive may come after any time. Only the rest ages out.
DROP INDEX throughline.inbox_finished;
CREATE INDEX inbox_finished ON throughline.inbox (finished_at) WHERE finished_at IS NOT NULL AND state <> 'cancelled';
`,
};
