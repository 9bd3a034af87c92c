import { describe } from 'vitest';
import { GCLOUD, gcloudMissing } from '../support/pubsub-target.ts';
import { integrates } from './suite.ts';

describe.skipIf(gcloudMissing)(`on ${GCLOUD.name}${gcloudMissing ? ` (${gcloudMissing})` : ''}`, () =>
  integrates(GCLOUD),
);
