import { afterAll, beforeAll, expect, test } from 'vitest';
import { askPartner } from '../../test/support/ask-partner.ts';
import { type PartnersSandbox, startPartnersSandbox } from './sandbox.ts';
import { createSandboxClient, type SandboxClient } from './sandbox-client.ts';

let sandbox: PartnersSandbox;
let client: SandboxClient;
beforeAll(async () => {
  sandbox = await startPartnersSandbox();
  client = createSandboxClient(sandbox.url);
});
afterAll(() => sandbox.close());

const redeem = (orderKey: string) =>
  askPartner(sandbox.url, 'card/redeem', orderKey, { orderKey, cardCode: 'C' });

test('sees over HTTP what the sandbox sees', async () => {
  await redeem('A&B');
  await redeem('C');
  expect(await client.effects('A&B')).toEqual(sandbox.effects('A&B'));
  expect(await client.calls('A&B')).toEqual(sandbox.calls('A&B'));
  expect(await client.effects()).toHaveLength(2);
});

test('adds faults and takes them away', async () => {
  await client.faults.add({ kind: 'error', partner: 'card', status: 500, reason: 'broken' });
  expect(await redeem('faulty')).toMatchObject({ status: 500, body: { title: 'broken' } });
  expect(sandbox.calls('faulty')).toMatchObject([{ fault: 'error', answered: 500 }]);
  await client.faults.clear();
  expect((await redeem('faulty')).status).toBe(200);
});

test('says what is wrong with a fault', async () => {
  const fault = { kind: 'explode', times: 0 } as unknown as Parameters<SandboxClient['faults']['add']>[0];
  await expect(client.faults.add(fault)).rejects.toThrow(/422.*kind: .*times: /);
});

test('awaits a call that has arrived, though it is not answered yet', async () => {
  sandbox.faults.add({ kind: 'latency', orderKey: 'slow', latencyMs: 60_000 });
  const pending = redeem('slow').catch(() => 'broken');
  await client.called({ orderKey: 'slow', partner: 'card', effect: 'redeem' });
  expect(await client.effects('slow')).toEqual([]);
  expect((await client.calls('slow'))[0]).not.toHaveProperty('answered');
  await sandbox.close();
  expect(await pending).toBe('broken');
});
