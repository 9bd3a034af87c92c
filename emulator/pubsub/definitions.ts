import { createRequire } from 'node:module';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';

/** The services of google.pubsub.v1, by their short names. */
export interface Definitions {
  readonly publisher: ServiceDefinition;
  readonly subscriber: ServiceDefinition;
  readonly schemaService: ServiceDefinition;
}

/**
 * Reads the definitions that Google's own client ships, so that none need to be kept here. They lie in a dependency of
 * the client: looked up from the client's place, they are found wherever the package manager put them.
 */
export function loadDefinitions(): Definitions {
  const fromHere = createRequire(import.meta.url);
  const fromClient = createRequire(fromHere.resolve('@google-cloud/pubsub'));
  const json = fromClient('@google-cloud/pubsub-api/build/protos/protos.json') as Parameters<
    typeof fromJSON
  >[0];
  const loaded = fromJSON(json, { longs: Number, enums: String, arrays: true });
  const service = (name: string) => loaded[`google.pubsub.v1.${name}`] as ServiceDefinition;
  return {
    publisher: service('Publisher'),
    subscriber: service('Subscriber'),
    schemaService: service('SchemaService'),
  };
}
