import { startEmbeddedPostgres } from '../../shared/storage/embedded.ts';

/** Starts a server and waits to be killed. Says where the server is. */
const { url, dataDir } = await startEmbeddedPostgres();
process.stdout.write(`${JSON.stringify({ url, dataDir })}\n`);
setInterval(() => {}, 60_000);
