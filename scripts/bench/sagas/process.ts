import type { Assignment, Load } from './assignment.ts';
import { byHand } from './by-hand.ts';
import { type Contender, measure } from './contender.ts';
import { dbos } from './dbos.ts';
import { groupCommit } from './group-commit.ts';
import { restate } from './restate.ts';
import { stepCommit } from './step-commit.ts';
import { throughline } from './throughline.ts';
import { tracedGroupCommit } from './traced-group-commit.ts';

/** One contender, in a process of its own. */
function createContender(assignment: Assignment): Promise<Contender> {
  const { databaseUrl } = assignment;
  switch (assignment.contender) {
    case 'throughline':
      return throughline(assignment);
    case 'dbos':
      return dbos(assignment);
    case 'restate':
      return restate(assignment);
    case 'step_commit':
      return byHand({ databaseUrl, connections: STEP_COMMIT_CONNECTIONS, storeIn: stepCommit });
    case 'group_commit':
      return byHand({ databaseUrl, connections: 1, storeIn: groupCommit });
    case 'group_commit_traced':
      return tracedGroupCommit(assignment);
  }
}

const STEP_COMMIT_CONNECTIONS = 50;

const assignment = JSON.parse(process.argv[2] ?? '') as Assignment;
const contender = await createContender(assignment);
let begun = 0;
process.on('message', async (message: Load | 'end') => {
  if (message === 'end') {
    await contender.close();
    process.send?.({ begun }, () => process.exit());
    return;
  }
  const run = await measure(contender, message, begun, assignment.postgresPid);
  begun += run.begun;
  process.send?.(run);
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
