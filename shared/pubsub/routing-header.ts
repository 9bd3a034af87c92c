import { Metadata } from '@grpc/grpc-js';

/** Tells Google's front ends where a call belongs; the generated client would add it by itself. */
export function routingHeader(field: 'topic' | 'subscription', name: string): Metadata {
  const metadata = new Metadata();
  metadata.set('x-goog-request-params', `${field}=${encodeURIComponent(name)}`);
  return metadata;
}
