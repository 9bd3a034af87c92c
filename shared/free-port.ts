import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** From here on Linux gives ports to outgoing connections; other systems begin higher up. */
const FIRST_EPHEMERAL = 32_768;
const FIRST = 10_000;
const MAX_TRIES = 100;

/**
 * A port of 127.0.0.1 on which nobody listens, for a server that stops and comes back to it.
 *
 * The system's own choice (port 0) will not do: it is one that connections get as well, and one of them may have it when
 * the server comes back. Who keeps on trying to connect meanwhile can even be given it, and is connected to itself.
 *
 * Errors: Error when none is free.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const port = randomInt(FIRST, FIRST_EPHEMERAL);
    if (await isFree(port)) return port;
  }
  throw new Error(`found no free port from ${FIRST} to ${FIRST_EPHEMERAL - 1}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
