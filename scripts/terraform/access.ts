import type { PubSubAccess } from '../../orders/access.ts';
import type { Topology } from '../../shared/pubsub/topology.ts';
import { type Arguments, nameOf, type Resources, reference } from './document.ts';
import { PROJECT, subscriptionGrant, topicGrant } from './pubsub.ts';

const ACCOUNT = 'google_service_account';

/** A service account for each process, with a role on each topic and subscription that it uses, and none on the project. */
export function accessResources(access: readonly PubSubAccess[], topology: Topology): Resources {
  return {
    [ACCOUNT]: Object.fromEntries(access.map((own) => [nameOf(own.account), account(own)])),
    google_pubsub_topic_iam_member: grants(access, (own) => [
      ...own.publishes.map((name) => ['publishes_to', name, 'roles/pubsub.publisher'] as const),
      ...inspected(own, topology.topics),
    ])(topicGrant),
    google_pubsub_subscription_iam_member: grants(access, (own) => [
      ...own.subscribes.map((name) => ['pulls', name, 'roles/pubsub.subscriber'] as const),
      // The subscriber's role lets nobody look at a subscription: a missing one would be noticed at no start.
      ...own.subscribes.map((name) => ['sees', name, 'roles/pubsub.viewer'] as const),
      ...inspected(own, topology.subscriptions),
    ])(subscriptionGrant),
  };
}

type Grant = readonly [verb: string, resource: string, role: string];

function grants(access: readonly PubSubAccess[], grantsOf: (own: PubSubAccess) => readonly Grant[]) {
  return (argumentsOf: (resource: string, role: string, member: string) => Arguments) =>
    Object.fromEntries(
      access.flatMap((own) =>
        grantsOf(own).map(([verb, resource, role]) => [
          `${nameOf(own.account)}_${verb}_${nameOf(resource)}`,
          argumentsOf(resource, role, reference(ACCOUNT, own.account, 'member')),
        ]),
      ),
    );
}

function inspected({ inspects }: PubSubAccess, resources: readonly { readonly name: string }[]): Grant[] {
  return inspects ? resources.map(({ name }) => ['sees', name, 'roles/pubsub.viewer'] as const) : [];
}

function account({ account, description }: PubSubAccess): Arguments {
  return { project: PROJECT, account_id: account, display_name: account, description };
}
