import { expect, onTestFinished, test } from 'vitest';
import { type CampaignLab, eachWithCampaignLab } from '../support/campaign-lab.ts';
import { startDoomed } from '../support/doomed-process.ts';
import { type StatementPoint, startPgGate } from '../support/pg-gate.ts';

/** Runners that are killed while they freeze an audience, or hand it over. */
let lab: CampaignLab;
eachWithCampaignLab((own) => {
  lab = own;
});

/** The second page, or batch, of a runner. */
function second(matches: (text: string) => boolean): StatementPoint['matches'] {
  let seen = 0;
  return ({ text }) => matches(text) && ++seen === 2;
}
const isPage = (text: string) => text.includes('throughline-campaign-freeze');
const isBatch = (text: string) => text.includes('throughline-campaign-enqueue');
/** The end of a transaction in which there was such a statement. */
function commitOfSecond(matches: (text: string) => boolean): StatementPoint['matches'] {
  let seen = 0;
  return ({ text, transaction }) => text.startsWith('COMMIT') && matches(transaction) && ++seen === 2;
}

test.each<[string, StatementPoint]>([
  ['before its second page is written', { matches: second(isPage), when: 'before' }],
  ['after its second page is written', { matches: second(isPage), when: 'after' }],
  ['before its second page is committed', { matches: commitOfSecond(isPage), when: 'before' }],
  ['after its second page is committed', { matches: commitOfSecond(isPage), when: 'after' }],
  ['while its second batch is handed over', { matches: second(isBatch), when: 'after' }],
  ['after its second batch is handed over', { matches: commitOfSecond(isBatch), when: 'after' }],
])('a runner that is killed %s is taken over from: everybody is sent to once', async (_when, point) => {
  await lab.addCustomers(45);
  await lab.approve({ tolerance: 0, perSecond: 40 });
  await lab.start();
  const gate = await startPgGate(lab.db.url);
  onTestFinished(() => gate.close());
  const runner = await startDoomed(
    ['test/campaign/runner-main.ts', lab.channel.topic, '10'],
    { DATABASE_URL: gate.url },
    () => gate.reach(point),
  );
  await runner.kill();
  await gate.close(); // its connections end with it, and what it had locked is free
  await lab.everything();
  const view = await lab.until(({ endedAt }) => endedAt !== undefined);
  expect(view).toMatchObject({
    ...{ state: 'finished', frozen: 45, repeated: 0, addsUp: true },
    recipients: { sent: 45 },
  });
  expect(lab.mail.calls).toHaveLength(45);
  expect(lab.mail.effects.size).toBe(45);
});
