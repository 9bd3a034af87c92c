import { expect, test } from 'vitest';
import { grpcError, stubConnection } from '../../test/fakes/stub-connection.ts';
import { grpcStatus } from './grpc-status.ts';
import { checkSubscription, SubscriptionMissingError } from './subscription-check.ts';

function check(answer: () => Promise<unknown>): Promise<unknown> {
  const { connection } = stubConnection({ subscriber: { getSubscription: answer } });
  return checkSubscription(connection, 'projects/p/subscriptions/worker');
}

test('a subscription that is there tells how often Pub/Sub delivers before it forwards', async () => {
  await expect(check(async () => [{}])).resolves.toEqual({ maxDeliveryAttempts: undefined });
  const policy = { deadLetterPolicy: { maxDeliveryAttempts: 7 } };
  await expect(check(async () => [policy])).resolves.toEqual({ maxDeliveryAttempts: 7 });
});

test('a missing one is named, with what to do about it', async () => {
  const missing = check(() => Promise.reject(grpcError(grpcStatus.NOT_FOUND)));
  await expect(missing).rejects.toThrow(SubscriptionMissingError);
  await expect(missing).rejects.toThrow('projects/p/subscriptions/worker does not exist; apply the topology');
});

test('a role that may pull but not look is let through', async () => {
  await expect(check(() => Promise.reject(grpcError(grpcStatus.PERMISSION_DENIED)))).resolves.toBeUndefined();
});

test('any other answer is thrown', async () => {
  await expect(check(() => Promise.reject(new Error('no network')))).rejects.toThrow('no network');
});
