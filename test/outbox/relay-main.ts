import { createRelay } from '../../publisher/index.ts';
import { connect, createBatchSink, readConfig, startTelemetry } from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';

/** A relay that says so once its messages are stored, and never marks them: it waits to be killed. */
const { databaseUrl = '', pubsubEmulatorHost: emulatorHost, projectId } = readConfig();
startTelemetry({ serviceName: 'relay' });
const sink = createBatchSink(await connect({ projectId, emulatorHost }));
const relay = createRelay({
  database: openDatabase({ connectionString: databaseUrl }),
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
