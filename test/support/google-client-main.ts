// A process that publishes one message with Google's client and its own OpenTelemetry tracing.
import { PubSub } from '@google-cloud/pubsub';
import { startTelemetry } from '../../shared/index.ts';
import type { GoogleClientRequest } from './google-client-process.ts';

const request: GoogleClientRequest & { otlpEndpoint: string } = JSON.parse(process.argv[2] ?? '{}');
const telemetry = startTelemetry({ serviceName: 'google-client', otlpEndpoint: request.otlpEndpoint });
const pubsub = new PubSub({
  projectId: request.projectId,
  apiEndpoint: request.emulatorHost,
  emulatorMode: true,
  enableOpenTelemetryTracing: true,
});
const { data, attributes } = request;
await pubsub.topic(request.topic).publishMessage({ data: Buffer.from(data), attributes: { ...attributes } });
await pubsub.close();
await telemetry.shutdown();
