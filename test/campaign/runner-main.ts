import { createCampaignRunner, defineDeliverJob } from '../../publisher/campaign/index.ts';
import { readConfig } from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { segments } from '../support/campaign-segments.ts';
import { createRecordingChannel } from '../support/recording-channel.ts';

/** A runner of campaigns for the topic (first argument) with pages of a size (second). It says so once it has started. */
const [topic = '', pageSize = '10'] = process.argv.slice(2);
const { databaseUrl = '' } = readConfig();
const runner = createCampaignRunner({
  database: openDatabase({ connectionString: databaseUrl }),
  ...{ segments, channels: [createRecordingChannel()] },
  ...{ job: defineDeliverJob({ topic }), source: 'shop', pollMs: 50, pageSize: Number(pageSize) },
});
await runner.start();
process.stdout.write('started\n');
