import type { protos } from '@google-cloud/pubsub';
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Broker } from './broker.ts';
import { unary } from './handlers.ts';
import { checkName, checkProject } from './names.ts';
import { pageOf } from './page.ts';
import { checkMessages, readPublishRequest, writePublishResponse } from './publish-request.ts';
import { readTopic, updateTopic, writeTopic } from './topic-config.ts';

type V1 = typeof protos.google.pubsub.v1;
type Topic = protos.google.pubsub.v1.ITopic;

export function publisherHandlers(broker: Broker): UntypedServiceImplementation {
  return {
    CreateTopic: unary((request: Topic) => {
      checkName(request.name ?? '', 'topics');
      return writeTopic(broker.createTopic(readTopic(request)));
    }),
    UpdateTopic: unary((request: InstanceType<V1['UpdateTopicRequest']>) => {
      const name = topicName(request.topic?.name);
      return writeTopic(broker.replaceTopic(updateTopic(broker.topic(name), request)));
    }),
    GetTopic: unary((request: { topic?: string }) => writeTopic(broker.topic(topicName(request.topic)))),
    ListTopics: unary((request: protos.google.pubsub.v1.IListTopicsRequest) => {
      const { names, nextPageToken } = pageOf(inProject(broker.topicNames, request.project), request);
      return { topics: names.map((name) => writeTopic(broker.topic(name))), nextPageToken };
    }),
    ListTopicSubscriptions: unary((request: protos.google.pubsub.v1.IListTopicSubscriptionsRequest) => {
      const { names, nextPageToken } = pageOf(broker.subscriptionNamesOf(topicName(request.topic)), request);
      return { subscriptions: names, nextPageToken };
    }),
    DeleteTopic: unary((request: { topic?: string }) => {
      broker.deleteTopic(topicName(request.topic));
      return {};
    }),
    Publish: unary((request: Buffer) => {
      const { topic, messages } = readPublishRequest(request);
      broker.topic(topicName(topic));
      return writePublishResponse(broker.publish(topic, checkMessages(messages, request.length)));
    }),
  };
}

function topicName(name: string | null | undefined): string {
  checkName(name ?? '', 'topics');
  return name ?? '';
}

/** The names that belong to `projects/{project}`. */
export function inProject(names: Iterable<string>, project: string | null | undefined): string[] {
  checkProject(project ?? '');
  return Array.from(names).filter((name) => name.startsWith(`${project}/`));
}
