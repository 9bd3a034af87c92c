import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { OptionsError } from '../../shared/index.ts';
import { changeRate, createSharedRate, type SharedRateOptions } from '../../shared/rate/shared-rate.ts';
import { type Database, openDatabase } from '../../shared/storage/database.ts';
import { runToEnd } from '../support/child-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let db: TestDatabase;
beforeEach(async () => {
  db = await createTestDatabase();
  onTestFinished(() => db.close());
});

/** So slow that within a test nothing comes in. */
const NEVER = { perSecond: 0.001, burst: 10 };

function rate(options: Partial<SharedRateOptions> = {}) {
  const made = createSharedRate({ database: db.database, name: 'mails', ...NEVER, ...options });
  onTestFinished(() => made.close());
  return made;
}

interface BucketRow {
  readonly tokens: number;
  readonly per_second: number;
  readonly burst: number;
}

async function bucket(): Promise<BucketRow | undefined> {
  const { rows } = await db.database.query<BucketRow & Record<string, unknown>>(
    'SELECT tokens, per_second, burst FROM throughline.shared_rate',
  );
  return rows[0];
}

/** Lets time pass for the bucket. */
async function pass(seconds: number): Promise<void> {
  await db.database.query(`UPDATE throughline.shared_rate SET filled_at = filled_at - $1 * interval '1 s'`, [
    seconds,
  ]);
}

/** The same database, and how many statements it was asked to run. */
function counting(database: Database) {
  const asked: unknown[] = [];
  const query: Database['query'] = (statement, values) => {
    asked.push(statement);
    return database.query(statement, values);
  };
  return { database: { ...database, query }, asked };
}

const times = (count: number) => Array.from({ length: count });

describe('a shared rate', () => {
  test('gives the burst at once, and what comes in after that', async () => {
    const one = rate();
    await one.take(5);
    await one.take(4);
    await one.close();
    expect((await bucket())?.tokens).toBeLessThan(1);
    await pass(4_000);
    await rate().take(4);
  });

  test('what was promised to a caller that was told to go is given back', async () => {
    const one = rate({ perSecond: 0.001, burst: 1 });
    await one.take();
    await Promise.all([expect(one.take()).rejects.toMatchObject({ code: 'RATE_CLOSED' }), one.close()]);
    expect((await bucket())?.tokens).toBeGreaterThan(-0.1);
  });

  test('S1: three processes that take as fast as they can stay below rate and burst in every stretch of time', async () => {
    const [perSecond, burst, count] = [500, 40, 150];
    await rate({ perSecond, burst }).take();
    await pass(1_000); // the bucket is as full as it gets
    const ended = await Promise.all(
      times(3).map(() =>
        runToEnd(
          process.execPath,
          ['test/rate/taker-main.ts', 'mails', `${perSecond}`, `${burst}`, `${count}`],
          { env: { DATABASE_URL: db.url } },
        ),
      ),
    );
    expect(ended.map(({ exitCode, stderr }) => `${exitCode} ${stderr}`)).toEqual(['0 ', '0 ', '0 ']);
    const takenMs = ended
      .flatMap(({ stdout }) => stdout.trim().split('\n').map(Number))
      .sort((a, b) => a - b);
    expect(takenMs).toHaveLength(3 * count);
    let worst = Number.NEGATIVE_INFINITY;
    for (const [first, from] of takenMs.entries()) {
      for (let last = first; last < takenMs.length; last++) {
        const seconds = ((takenMs[last] ?? 0) - from) / 1_000;
        worst = Math.max(worst, last - first + 1 - (burst + perSecond * seconds));
      }
    }
    expect(worst).toBeLessThanOrEqual(perSecond * READING_CLOCKS_S);
  });

  test('S1: the clock of PostgreSQL decides: a process whose clock is ahead gets no more', async () => {
    const one = rate();
    const { now } = Date;
    Date.now = () => now() + 86_400_000;
    onTestFinished(() => {
      Date.now = now;
    });
    await one.take(5);
    await one.take(4);
    expect((await bucket())?.tokens).toBeLessThan(1);
  });

  test('a clock that was set back stops nothing', async () => {
    const one = rate({ perSecond: 1_000, burst: 1 });
    await one.take();
    await pass(-86_400);
    await one.take();
    await one.take();
  });

  test('S2: thousands of tokens cost few statements', async () => {
    const { database, asked } = counting(db.database);
    const one = rate({ database, perSecond: 100_000, burst: 100_000 });
    for (let taken = 0; taken < 5_000; taken++) await one.take();
    expect(asked.length).toBeLessThan(60);
  });

  test('S2: what is not used is given back', async () => {
    const one = rate();
    await one.take(5);
    one.giveBack(3);
    await one.close();
    expect((await bucket())?.tokens).toBeCloseTo(NEVER.burst / 2 + 2.8 + 0.2, 0);
  });

  test('S3: who waits is served in order, however much they want', async () => {
    const one = rate({ perSecond: 200, burst: 10 });
    const order: string[] = [];
    const wanted = [
      ['a', 1],
      ['b', 5],
      ['c', 2],
      ['d', 5],
      ['e', 1],
    ] as const;
    await Promise.all(wanted.map(([name, count]) => one.take(count).then(() => order.push(name))));
    expect(order).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  test('tokens that are held can be taken without asking; those that others wait for cannot', async () => {
    const one = rate();
    expect(one.tryTake()).toBe(false);
    await one.take(2);
    one.giveBack(1);
    expect(one.tryTake()).toBe(true);
    expect(one.tryTake()).toBe(false);
  });

  test('a caller that gives up is told its reason, and the next gets what was meant for it', async () => {
    const one = rate({ perSecond: 1, burst: 2 });
    await one.take();
    const giveUp = new AbortController();
    const first = one.take(1, { signal: giveUp.signal });
    const second = one.take();
    giveUp.abort(new Error('enough'));
    await expect(first).rejects.toThrow('enough');
    await second;
    await expect(one.take(1, { signal: giveUp.signal })).rejects.toThrow('enough');
  });

  test('numbers that are changed hold for every process, until the code asks for others', async () => {
    const one = rate();
    await one.take();
    await changeRate(db.database, 'mails', { perSecond: 5_000, burst: 500 });
    await one.take(1);
    await one.take(100); // more than the burst of before
    await rate().take();
    expect(await bucket()).toMatchObject({ per_second: 5_000, burst: 500 });
    await rate({ perSecond: 7, burst: 70 }).take();
    expect(await bucket()).toMatchObject({ per_second: 7, burst: 70 });
  });

  test('a rate that is lowered leaves no more than the new burst, however long nothing was taken', async () => {
    const one = rate({ perSecond: 1_000, burst: 100 });
    await one.take();
    await one.close();
    await changeRate(db.database, 'mails', { perSecond: 0.001, burst: 3 });
    await pass(1_000_000);
    const other = rate({ perSecond: 1_000, burst: 100 });
    await other.take();
    expect((await bucket())?.tokens).toBeLessThan(2);
    await expect(other.take(2)).rejects.toThrow('from 1 to 1');
  });

  test('whoever waits when it is closed is told, and so is whoever comes later', async () => {
    const one = rate({ perSecond: 0.001, burst: 1 });
    await one.take();
    const waiting = one.take();
    await Promise.all([
      expect(waiting).rejects.toMatchObject({ code: 'RATE_CLOSED' }),
      one.close(),
      one.close(),
    ]);
    await expect(one.take()).rejects.toMatchObject({ code: 'RATE_CLOSED' });
  });

  test('a database that is away is told to whoever waits', async () => {
    const away = openDatabase({
      connectionString: 'postgresql://nobody@127.0.0.1:1/none',
      reconnectWithinMs: 0,
    });
    onTestFinished(() => away.close());
    await expect(rate({ database: away }).take()).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  });

  test('what makes no sense is refused', async () => {
    expect(() => rate({ perSecond: 0, burst: 0 })).toThrow(/perSecond[\s\S]*burst/);
    expect(() => rate({ name: '' })).toThrow(OptionsError);
    await expect(rate().take(6)).rejects.toThrow('count: expected a whole number from 1 to 5, got 6');
    await expect(changeRate(db.database, 'unknown', NEVER)).rejects.toMatchObject({ code: 'RATE_UNKNOWN' });
  });
});

/** What comparing the clock of each process with PostgreSQL's may be wrong by, in seconds: the answer's way. */
const READING_CLOCKS_S = 0.05;
