import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ACCESS } from '../../orders/access.ts';
import {
  JOBS_DEAD_LETTER_TOPIC,
  JOBS_TOPIC,
  NOTIFICATIONS_DEAD_LETTER_TOPIC,
  NOTIFICATIONS_TOPIC,
  RESULTS_DEAD_LETTER_TOPIC,
  RESULTS_TOPIC,
} from '../../orders/contract.ts';
import type { Resources } from '../../scripts/terraform/document.ts';
import { throughline } from '../cli/throughline.ts';
import { ROOT } from '../support/child-process.ts';
import { newOrder, type OrderApi, readOrderApi } from '../support/order-api.ts';
import { type PubSubCall, type PubSubGuard, startPubSubGuard } from '../support/pubsub-guard.ts';
import { type Shop, startShop } from '../support/shop.ts';

/** What each role that Terraform grants lets its bearer do with what it is granted on. */
const METHODS: Readonly<Record<string, readonly string[]>> = {
  'roles/pubsub.publisher': ['Publish'],
  'roles/pubsub.subscriber': ['StreamingPull', 'Pull', 'Acknowledge', 'ModifyAckDeadline'],
  'roles/pubsub.viewer': ['GetTopic', 'GetSubscription'],
};

interface Grant {
  readonly role: string;
  readonly resource: string;
}

const file = join(ROOT, 'deploy/terraform/access.tf.json');
const { resource } = JSON.parse(readFileSync(file, 'utf8')) as { resource: Resources };

/** The grants of one account as they are committed; names in Terraform have `_` for `-`. */
function grantsOf(account: string): Grant[] {
  const member = `\${google_service_account.${account.replaceAll('-', '_')}.member}`;
  return ['google_pubsub_topic_iam_member', 'google_pubsub_subscription_iam_member']
    .flatMap((type) => Object.values(resource[type] ?? {}))
    .filter((grant) => grant['member'] === member)
    .map((grant) => ({
      role: String(grant['role']),
      resource: String(grant['topic'] ?? grant['subscription']).split('.')[1] ?? '',
    }));
}

const covers = ({ role, resource }: Grant, call: PubSubCall) =>
  resource === call.resource.replaceAll('-', '_') && METHODS[role]?.includes(call.method);

let shop: Shop;
let api: OrderApi;
const guards = new Map<string, PubSubGuard>();
beforeAll(async () => {
  shop = await startShop({ settings: { THROUGHLINE_RELAY: 'off', LOG_LEVEL: 'fatal' } });
  for (const { account } of ACCESS) {
    const grants = grantsOf(account);
    const guard = await startPubSubGuard(shop.emulatorHost, (call) =>
      grants.some((grant) => covers(grant, call)),
    );
    guards.set(account, guard);
  }
  const through = (account: string) => ({ PUBSUB_EMULATOR_HOST: guards.get(account)?.host ?? '' });
  const [service] = await Promise.all([
    shop.startService(through('order-service')),
    shop.startWorker(through('order-worker')),
    shop.startRelay(through('order-relay')),
  ]);
  api = await readOrderApi(service.ready.url);
});
afterAll(async () => {
  await shop.close();
  await Promise.all([...guards.values()].map((guard) => guard.close()));
});

test('orders are confirmed, undone, and given up with what Terraform grants', async () => {
  const [good, bad] = [newOrder(), newOrder()];
  shop.sandbox.faults.add({ partner: 'workspace', orderKey: bad.orderKey, kind: 'refuse', effect: 'set-up' });
  await Promise.all([api.place(good), api.place(bad)]);
  expect((await api.ended(good.orderKey)).state).toBe('confirmed');
  expect((await api.ended(bad.orderKey)).state).toBe('compensated');
  // What is no job is a dead letter at once, on each topic; keepers fetch it from there.
  const deadLetters = [
    [JOBS_TOPIC, JOBS_DEAD_LETTER_TOPIC],
    [RESULTS_TOPIC, RESULTS_DEAD_LETTER_TOPIC],
    [NOTIFICATIONS_TOPIC, NOTIFICATIONS_DEAD_LETTER_TOPIC],
  ] as const;
  for (const [topic] of deadLetters)
    await shop.publish(topic, { data: Buffer.from('{'), attributes: { from: 'a stranger' } });
  await expect
    .poll(async () => {
      const { stdout } = await throughline(['dead-letter', 'list', '--json'], {
        DATABASE_URL: shop.databaseUrl,
      });
      return deadLetters.filter(([topic]) => !stdout.includes(`"${topic}"`));
    })
    .toEqual([]);
  const env = {
    GOOGLE_CLOUD_PROJECT: shop.connection.projectId,
    PUBSUB_EMULATOR_HOST: guards.get('order-operator')?.host ?? '',
  };
  const diff = await throughline(['topology', 'diff'], env);
  expect([diff.exitCode, diff.stdout]).toEqual([0, 'Everything is as declared.\n']);
  const refused = [...guards].flatMap(([account, guard]) =>
    guard.refused.map(({ method, resource }) => `${account}: ${method} ${resource}`),
  );
  expect(refused).toEqual([]);
});

test('nothing is granted that is not used, but for the fresh message before Pub/Sub counts one out', () => {
  const unused = [...guards].flatMap(([account, guard]) =>
    grantsOf(account)
      .filter((grant) => !guard.allowed.some((call) => covers(grant, call)))
      .map(({ role, resource }) => `${account}: ${role} on ${resource}`),
  );
  expect(unused.toSorted()).toEqual([
    'order-relay: roles/pubsub.publisher on notifications', // a campaign's
    'order-service: roles/pubsub.publisher on order_results',
    'order-worker: roles/pubsub.publisher on notifications',
    'order-worker: roles/pubsub.publisher on workspace_jobs',
  ]);
});

test('an operator may not change a topology, nor a worker publish what is the relay’s', async () => {
  const env = {
    GOOGLE_CLOUD_PROJECT: 'nothing-here',
    PUBSUB_EMULATOR_HOST: guards.get('order-operator')?.host ?? '',
  };
  const { exitCode } = await throughline(['topology', 'apply', '--yes'], env);
  expect(exitCode).toBe(1);
  const [refused] = guards.get('order-operator')?.refused ?? [];
  expect(refused?.method).toBe('CreateTopic');
  const publishes = (account: string) =>
    grantsOf(account).filter(({ role }) => role === 'roles/pubsub.publisher');
  expect(publishes('order-worker').map(({ resource }) => resource)).not.toContain('order_results');
});
