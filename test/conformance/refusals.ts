import { expect } from 'vitest';
import { type Context, testsFor, UNIMPLEMENTED } from './context.ts';

/** What a target does not do, it must refuse by name: accepting it silently would prove nothing to its user. */
export function refusals(context: Context): void {
  const { it } = testsFor(context);

  it(
    'refuses subscriptions that it would have to ignore in part',
    async (f) => {
      const topic = await f.newTopic();
      const unsupported = [
        { pushConfig: { pushEndpoint: 'https://example.com/push' } },
        { bigqueryConfig: { table: 'p.d.t' } },
        { cloudStorageConfig: { bucket: 'b' } },
        { messageTransforms: [{ javascriptUdf: { functionName: 'f', code: 'function f() {}' } }] },
      ];
      for (const fields of unsupported)
        await expect(f.newSubscription(topic, fields)).rejects.toMatchObject(UNIMPLEMENTED);
    },
    'refusals',
  );

  it(
    'refuses topics that it would have to ignore in part',
    async (f) => {
      const unsupported = [
        { kmsKeyName: 'projects/p/locations/l/keyRings/r/cryptoKeys/k' },
        { schemaSettings: { schema: 'projects/p/schemas/s', encoding: 'JSON' as const } },
        { messageStoragePolicy: { allowedPersistenceRegions: ['europe-west1'] } },
      ];
      for (const fields of unsupported) await expect(f.newTopic(fields)).rejects.toMatchObject(UNIMPLEMENTED);
    },
    'refusals',
  );

  it(
    'names the method that it refuses',
    async (f) => {
      const { topic, subscription } = await f.newPair();
      const name = 'projects/p/snapshots/s-1';
      await expect(f.subscriber.createSnapshot({ name, subscription })).rejects.toThrow(
        /CreateSnapshot is not/,
      );
      await expect(f.subscriber.seek({ subscription, time: { seconds: 1 } })).rejects.toThrow(/Seek is not/);
      await expect(f.publisher.listTopicSnapshots({ topic })).rejects.toThrow(/ListTopicSnapshots is not/);
      await expect(f.publisher.detachSubscription({ subscription })).rejects.toThrow(
        /DetachSubscription is not/,
      );
      await expect(f.client.schema('s-1').get()).rejects.toMatchObject(UNIMPLEMENTED);
      await expect(f.client.topic(topic).iam.getPolicy()).rejects.toMatchObject(UNIMPLEMENTED);
    },
    'refusals',
  );
}
