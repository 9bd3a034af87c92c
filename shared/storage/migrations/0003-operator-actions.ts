import type { Migration } from '../migrate.ts';

export const operatorActions: Migration = {
  name: '0003-operator-actions',
  sql: `
-- What an operator did.
CREATE TABLE throughline.operator_action (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at      timestamptz NOT NULL DEFAULT now(),
  actor   text NOT NULL,
  action  text NOT NULL,                   -- saga.retry, saga.skip, saga.resolve …
  target  text NOT NULL,
  reason  text,
  details json NOT NULL DEFAULT '{}',
  carrier json NOT NULL DEFAULT '{}'
);
CREATE INDEX operator_action_target ON throughline.operator_action (target);
`,
};
