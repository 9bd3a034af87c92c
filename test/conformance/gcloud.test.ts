import { test } from 'vitest';
import { findGcloudEmulator, startGcloudEmulator } from '../../emulator/gcloud.ts';
import { readConfig } from '../../shared/config.ts';
import { conforms } from './suite.ts';

const config = readConfig();

/** As seen with version 0.8.20. */
const missing = {
  ackDeadlineMaximum: 'the gcloud emulator takes deadlines above 600 s for messages',
  backoffFromFirstFailure: 'the gcloud emulator does not wait after the first failure',
  exactlyOnceConfirmations: 'the gcloud emulator sends confirmations without ack ids',
  ackDeadlineMinimum: 'the gcloud emulator takes ack deadlines below 10 s',
  deadLetterOrdering: 'the gcloud emulator crashes when it dead-letters a message with an ordering key',
  deadLetterTopicOptional: 'the gcloud emulator was not seen to survive the loss of a dead-letter topic',
  errorTexts: 'the gcloud emulator words its errors otherwise',
  exactlyOnceErrors: 'the gcloud emulator accepts expired ack ids',
  filters: 'the gcloud emulator stores filters and ignores them',
  firstRequestOnly: 'the gcloud emulator takes a protocol version at any time',
  flowControl: 'the gcloud emulator sends more than the most outstanding messages',
  keepAlive: 'the gcloud emulator does not answer empty requests',
  labelUpdates: 'the gcloud emulator cannot update labels',
  limits: 'the gcloud emulator does not enforce the limits of messages',
  longRetention: 'the gcloud emulator keeps messages for 7 days at most',
  orderedRedelivery: 'the gcloud emulator redelivers only the failed message of a key',
  refusals: 'the gcloud emulator has these features',
  zeroBackoff: 'the gcloud emulator waits even when the minimum backoff is 0',
};

if (findGcloudEmulator(config)) {
  conforms({
    name: 'the gcloud emulator',
    missing,
    start: () => startGcloudEmulator({ ...config, port: 0 }),
  });
} else {
  test('the gcloud emulator behaves as Pub/Sub is documented', ({ skip }) => {
    skip("Google's Pub/Sub emulator or Java is not installed");
  });
}
