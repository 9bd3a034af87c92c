import { createRelay } from '../../publisher/index.ts';
import { connect, createBatchSink, startTelemetry } from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';

/** A relay that says so once its messages are stored, and never marks them: it waits to be killed. */
const { DATABASE_URL = '', PUBSUB_EMULATOR_HOST: emulatorHost, PROJECT: projectId } = process.env;
startTelemetry({ serviceName: 'relay' });
const sink = createBatchSink(await connect({ projectId, emulatorHost }));
const relay = createRelay({
  database: openDatabase({ connectionString: DATABASE_URL }),
  sink: {
    ...sink,
    async publish(topic, messages) {
      await sink.publish(topic, messages);
      process.stdout.write('published\n');
      return new Promise(() => {});
    },
  },
});
await relay.start();
