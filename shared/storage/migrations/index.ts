import type { MigrationSet } from '../migrate.ts';
import { outboxAndInbox } from './0001-outbox-and-inbox.ts';
import { sagas } from './0002-sagas.ts';
import { operatorActions } from './0003-operator-actions.ts';
import { sagasInTrouble } from './0004-sagas-in-trouble.ts';
import { fences } from './0005-fences.ts';
import { deadLetters } from './0006-dead-letters.ts';
import { campaigns } from './0007-campaigns.ts';
import { schedulesAndLimits } from './0008-schedules-and-limits.ts';
import { operators } from './0009-operators.ts';

/** The tables of outbox, inbox, sagas, fences, dead letters, campaigns, schedules, limits and operators. */
export const THROUGHLINE_MIGRATIONS: MigrationSet = {
  schema: 'throughline',
  migrations: [
    outboxAndInbox,
    sagas,
    operatorActions,
    sagasInTrouble,
    fences,
    deadLetters,
    campaigns,
    schedulesAndLimits,
    operators,
  ],
};
