import { readConfig } from '../../shared/index.ts';
import { createSharedRate } from '../../shared/rate/shared-rate.ts';
import { openDatabase } from '../../shared/storage/database.ts';

/** Takes so many tokens (third argument) as fast as it may, and says when it took them: ms by PostgreSQL's clock, one a line. */
const [name = '', perSecond = '', burst = '', count = ''] = process.argv.slice(2);
const { databaseUrl = '' } = readConfig();
const database = openDatabase({ connectionString: databaseUrl, maxConnections: 2 });
const rate = createSharedRate({ database, name, perSecond: Number(perSecond), burst: Number(burst) });

/** How far PostgreSQL's clock is ahead of this process's, in ms: at most, so that no token seems to come too early. */
const sentAtMs = performance.now();
const { rows } = await database.query<{ ms: number }>(
  'SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS ms',
);
const aheadMs = (rows[0]?.ms ?? 0) - sentAtMs;

const times: number[] = [];
for (let taken = 0; taken < Number(count); taken++) {
  await rate.take();
  times.push(performance.now() + aheadMs);
}
process.stdout.write(`${times.join('\n')}\n`);
await rate.close();
await database.close();
