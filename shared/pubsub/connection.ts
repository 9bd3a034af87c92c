import { PubSub, v1 } from '@google-cloud/pubsub';
import { credentials } from '@grpc/grpc-js';
import { PassThroughClient } from 'google-auth-library';
import { ThroughlineError } from '../errors.ts';

/** One project's Pub/Sub, real or emulated: the generated clients and Google's hand-written one. */
export interface PubSubConnection {
  readonly projectId: string;
  readonly pubsub: PubSub;
  readonly publisher: v1.PublisherClient;
  readonly subscriber: v1.SubscriberClient;
  /** May be called twice. */
  close(): Promise<void>;
}

export interface ConnectOptions {
  /** Default: the project of the application default credentials. Needed with an emulator. */
  readonly projectId?: string | undefined;
  /** `host:port`. Unset: real Pub/Sub. */
  readonly emulatorHost?: string | undefined;
}

/** No project could be told from options or credentials. */
export class ProjectUnknownError extends ThroughlineError {
  override readonly name = 'ProjectUnknownError';
  readonly code = 'PROJECT_UNKNOWN';

  constructor(options?: ErrorOptions) {
    super(
      'no Google Cloud project: set GOOGLE_CLOUD_PROJECT, or PUBSUB_EMULATOR_HOST to work against an emulator (in code: pass `projectId`, `emulatorHost`; readConfig() reads both)',
      options,
    );
  }
}

/** Real Pub/Sub was asked for, and there is nothing to show it. */
export class CredentialsMissingError extends ThroughlineError {
  override readonly name = 'CredentialsMissingError';
  readonly code = 'CREDENTIALS_MISSING';

  constructor(options?: ErrorOptions) {
    super(
      'no credentials for Google Cloud: run "gcloud auth application-default login", or set PUBSUB_EMULATOR_HOST to work against an emulator (in code: pass `emulatorHost`)',
      options,
    );
  }
}

/** Errors: ProjectUnknownError, CredentialsMissingError. Nothing is sent to Pub/Sub before the first call. */
export async function connect(options: ConnectOptions = {}): Promise<PubSubConnection> {
  const pubsub = new PubSub(clientOptions(options));
  const config = await pubsub.getClientConfig().catch((cause) => {
    throw new ProjectUnknownError({ cause });
  });
  if (!config.projectId) throw new ProjectUnknownError();
  if (!options.emulatorHost) await checkCredentials(pubsub);
  // The hand-written client documents this hand-over; only the two types disagree about undefined.
  const generated = config as ConstructorParameters<typeof v1.PublisherClient>[0];
  const publisher = new v1.PublisherClient(generated);
  const subscriber = new v1.SubscriberClient(generated);
  let closed: Promise<void> | undefined;
  const close = async () => {
    await Promise.allSettled([publisher.close(), subscriber.close(), pubsub.close()]);
  };
  return {
    projectId: config.projectId,
    pubsub,
    publisher,
    subscriber,
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

/** Asked for here, because the generated clients let a failure at their first call end the process. */
async function checkCredentials(pubsub: PubSub): Promise<void> {
  await pubsub.auth.getClient().catch((cause) => {
    throw new CredentialsMissingError({ cause });
  });
}

function clientOptions({ projectId, emulatorHost }: ConnectOptions): ConstructorParameters<typeof PubSub>[0] {
  const project = projectId ? { projectId } : {};
  if (!emulatorHost) return project;
  const [servicePath, port] = emulatorHost.split(':');
  return {
    ...project,
    apiEndpoint: emulatorHost,
    emulatorMode: true,
    servicePath: servicePath ?? '127.0.0.1',
    port: Number(port),
    sslCreds: credentials.createInsecure(),
    // An emulator asks for no credentials; without this the client would look for a metadata server first.
    authClient: new PassThroughClient(),
  };
}

export function topicPath(projectId: string, topic: string): string {
  return topic.startsWith('projects/') ? topic : `projects/${projectId}/topics/${topic}`;
}

export function subscriptionPath(projectId: string, subscription: string): string {
  return subscription.startsWith('projects/')
    ? subscription
    : `projects/${projectId}/subscriptions/${subscription}`;
}
