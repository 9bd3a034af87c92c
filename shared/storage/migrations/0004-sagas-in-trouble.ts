import type { Migration } from '../migrate.ts';

export const sagasInTrouble: Migration = {
  name: '0004-sagas-in-trouble',
  sql: `
-- What operators look for, by age: few of many sagas.
CREATE INDEX saga_stuck ON throughline.saga (id) WHERE state = 'stuck';
CREATE INDEX saga_parked ON throughline.saga (id) WHERE parked IS NOT NULL AND ended_at IS NULL;
`,
};
