import type { Migration } from '../migrate.ts';

export const operators: Migration = {
  name: '0009-operators',
  sql: `
-- By which way an operator came. Null: code that called the library.
ALTER TABLE throughline.operator_action ADD COLUMN via text CHECK (via IN ('cli', 'http'));

-- Whose job it was, and the trace that it was last delivered in: the outbox forgets both when the job is finished.
ALTER TABLE throughline.inbox ADD COLUMN order_key text, ADD COLUMN traceparent text;

-- The steps of sagas, as the engines that run them define them: for who shows a saga and has not its code.
CREATE TABLE throughline.saga_definition (
  name    text NOT NULL,
  version integer NOT NULL,
  steps   json NOT NULL,                   -- [{ name, kind, compensation: { kind, reason? } }]
  PRIMARY KEY (name, version)
);
`,
};
