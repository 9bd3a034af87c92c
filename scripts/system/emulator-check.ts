import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { ThroughlineError } from '../../shared/index.ts';

/** `PUBSUB_EMULATOR_HOST` names a place where nothing answers. */
export class EmulatorUnreachableError extends ThroughlineError {
  override readonly name = 'EmulatorUnreachableError';
  readonly code = 'EMULATOR_UNREACHABLE';
  readonly host: string;

  constructor(host: string, options?: ErrorOptions) {
    super(`nothing listens on ${host} (PUBSUB_EMULATOR_HOST); start one with "npm run emulator"`, options);
    this.host = host;
  }
}

const TIMEOUT_MS = 3_000;

/**
 * Knocks at the emulator's door: the client would go on trying for a minute, and somebody sits before it.
 *
 * Errors: EmulatorUnreachableError.
 */
export async function checkEmulator(host: string): Promise<void> {
  const [address = '', port] = host.split(':');
  const socket = connectSocket({ host: address, port: Number(port) });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (cause) {
    throw new EmulatorUnreachableError(host, { cause });
  } finally {
    socket.destroy();
  }
}
