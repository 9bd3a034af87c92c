import { randomBytes } from 'node:crypto';
import type { protos } from '@google-cloud/pubsub';
import type { ServerUnaryCall, UntypedServiceImplementation } from '@grpc/grpc-js';
import {
  type AckOutcome,
  acknowledgeAll,
  checkAckIds,
  modifyAll,
  throwIfRefused,
} from './acknowledgements.ts';
import type { Broker } from './broker.ts';
import { unary } from './handlers.ts';
import { checkName, projectOf } from './names.ts';
import { pageOf } from './page.ts';
import { inProject } from './publisher-service.ts';
import { type PullOptions, pull } from './pull.ts';
import { invalidArgument } from './status.ts';
import { type StreamingPullCall, streamingPull } from './streaming-pull.ts';
import { checkDeadline } from './streaming-request.ts';
import type { Subscription } from './subscription.ts';
import { readSubscription, updateSubscription, writeSubscription } from './subscription-config.ts';
import { refuseFields } from './supported-fields.ts';

type V1 = typeof protos.google.pubsub.v1;

export function subscriberHandlers(broker: Broker, pulling: PullOptions): UntypedServiceImplementation {
  return { ...resourceHandlers(broker), ...deliveryHandlers(broker, pulling) };
}

function resourceHandlers(broker: Broker): UntypedServiceImplementation {
  return {
    CreateSubscription: unary((request: protos.google.pubsub.v1.ISubscription) => {
      checkName(request.topic ?? '', 'topics');
      const name = request.name || randomName(request.topic ?? '');
      checkName(name, 'subscriptions');
      return writeSubscription(broker.createSubscription(readSubscription({ ...request, name })));
    }),
    GetSubscription: unary((request: { subscription?: string }) =>
      writeSubscription(find(broker, request.subscription).config),
    ),
    UpdateSubscription: unary((request: InstanceType<V1['UpdateSubscriptionRequest']>) => {
      const { config } = find(broker, request.subscription?.name);
      return writeSubscription(broker.replaceSubscription(updateSubscription(config, request)));
    }),
    ListSubscriptions: unary((request: protos.google.pubsub.v1.IListSubscriptionsRequest) => {
      const { names, nextPageToken } = pageOf(inProject(broker.subscriptionNames, request.project), request);
      const subscriptions = names.map((name) => writeSubscription(broker.subscription(name).config));
      return { subscriptions, nextPageToken };
    }),
    DeleteSubscription: unary((request: { subscription?: string }) => {
      broker.deleteSubscription(find(broker, request.subscription).config.name);
      return {};
    }),
    // An empty configuration means pull, which every subscription here is already.
    ModifyPushConfig: unary((request: protos.google.pubsub.v1.IModifyPushConfigRequest) => {
      find(broker, request.subscription);
      refuseFields(request, { pushConfig: 'A push subscription' });
      return {};
    }),
  };
}

function deliveryHandlers(broker: Broker, pulling: PullOptions): UntypedServiceImplementation {
  return {
    Acknowledge: unary((request: protos.google.pubsub.v1.IAcknowledgeRequest) => {
      const subscription = find(broker, request.subscription);
      const ackIds = readAckIds(request.ackIds);
      return conclude(subscription, acknowledgeAll(subscription, ackIds));
    }),
    ModifyAckDeadline: unary((request: protos.google.pubsub.v1.IModifyAckDeadlineRequest) => {
      const subscription = find(broker, request.subscription);
      const ackIds = readAckIds(request.ackIds);
      const seconds = request.ackDeadlineSeconds ?? 0;
      checkDeadline(seconds);
      return conclude(
        subscription,
        modifyAll(
          subscription,
          ackIds,
          ackIds.map(() => seconds),
        ),
      );
    }),
    Pull: unary((request: protos.google.pubsub.v1.IPullRequest, call) => {
      const pullCall = call as ServerUnaryCall<protos.google.pubsub.v1.IPullRequest, Buffer>;
      return pull(find(broker, request.subscription), pullCall, pulling);
    }),
    StreamingPull: (call: StreamingPullCall) => streamingPull(call, (name) => find(broker, name)),
  };
}

function find(broker: Broker, name: string | null | undefined): Subscription {
  checkName(name ?? '', 'subscriptions');
  return broker.subscription(name ?? '');
}

function readAckIds(ackIds: string[] | null | undefined): string[] {
  if (!ackIds || ackIds.length === 0) throw invalidArgument('No ack ids specified.');
  checkAckIds(ackIds);
  return ackIds;
}

function conclude(subscription: Subscription, outcome: AckOutcome): object {
  if (subscription.config.enableExactlyOnceDelivery) throwIfRefused(outcome);
  return {};
}

/** As documented for gRPC: without a name the server makes one up, in the topic's project. */
function randomName(topic: string): string {
  return `projects/${projectOf(topic)}/subscriptions/subscription-${randomBytes(8).toString('hex')}`;
}
