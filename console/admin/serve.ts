import { createServer } from 'node:http';
import { closeServer, listen } from '../../shared/http/server.ts';
import { type AdminAppOptions, createAdminApp } from './app.ts';

export interface AdminOptions extends AdminAppOptions {
  /** Where it listens, on loopback. 0: a free one. */
  readonly port: number;
}

export interface Admin {
  readonly url: string;
  /** Answers what has been asked, then ends. */
  stop(): Promise<void>;
}

/**
 * The admin API on a port of its own: whoever opens the customers' port to the world does not open this one by mistake.
 *
 * Errors: those of listening.
 */
export async function startAdmin({ port, ...options }: AdminOptions): Promise<Admin> {
  const server = createServer(createAdminApp(options));
  const bound = await listen(server, { port });
  return { url: `http://127.0.0.1:${bound}`, stop: () => closeServer(server) };
}
