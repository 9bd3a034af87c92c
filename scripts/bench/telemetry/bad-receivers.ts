import { createServer, type ServerResponse } from 'node:http';
import { freePort } from '../../../shared/free-port.ts';

/** Receivers of spans that are no good: nobody listens; who listens never answers; who answers answers nonsense. */
export interface BadReceivers {
  readonly dead: string;
  readonly slow: string;
  readonly nonsense: string;
  stop(): Promise<void>;
}

export async function startBadReceivers(): Promise<BadReceivers> {
  const [slow, nonsense] = await Promise.all([
    listen(() => {}),
    listen((response) =>
      response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>'),
    ),
  ]);
  return {
    dead: `http://127.0.0.1:${await freePort()}`,
    slow: slow.endpoint,
    nonsense: nonsense.endpoint,
    stop: async () => {
      await Promise.all([slow.stop(), nonsense.stop()]);
    },
  };
}

async function listen(answer: (response: ServerResponse) => void) {
  const server = createServer((request, response) => {
    request.resume().on('end', () => answer(response));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
