import { findGcloudEmulator, startGcloudEmulator } from '../../emulator/gcloud.ts';
import { startEmulator } from '../../emulator/index.ts';
import { readConfig } from '../../shared/index.ts';

/** A Pub/Sub that tests run against. */
export interface PubSubTarget {
  readonly name: string;
  start(): Promise<RunningPubSub>;
}

export interface RunningPubSub {
  /** `127.0.0.1:8085` */
  readonly host: string;
  close(): Promise<void>;
}

export const EMBEDDED: PubSubTarget = { name: 'the embedded emulator', start: () => startEmulator() };

const config = readConfig();
export const GCLOUD: PubSubTarget = { name: "Google's emulator", start: () => startGcloudEmulator(config) };

/** Why tests on Google's emulator cannot run here; undefined when they can, and in CI, where they have to. */
export const gcloudMissing =
  config.ci || findGcloudEmulator(config)
    ? undefined
    : "skipped: Google's Pub/Sub emulator or Java is not installed";
