import { type MeterProvider, metrics } from '@opentelemetry/api';

/**
 * Who measures with instruments made before the SDK is there.
 *
 * The metrics API has no proxy: what is made from the provider that stood before the SDK stays silent for good. Our own
 * instruments are made when they are first used (meters.ts); OpenTelemetry's instrumentations make theirs at once, and have
 * to be there before the SDK is. They are told here.
 */
type Follower = (provider: MeterProvider) => void;

const followers = new Set<Follower>();

/** Calls `follow` with each provider that is registered from now on. */
export function followMeterProvider(follow: Follower): void {
  followers.add(follow);
}

/** Registers it for this process, and tells everybody who follows. */
export function registerMeterProvider(provider: MeterProvider): void {
  metrics.setGlobalMeterProvider(provider);
  for (const follow of followers) follow(provider);
}
