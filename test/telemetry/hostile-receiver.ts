import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from 'node:net';
import protobuf from 'protobufjs/light.js';
import { freePort } from '../../shared/free-port.ts';

/** A receiver of spans that is no good. */
export interface HostileReceiver {
  readonly endpoint: string;
  /** How many requests for spans it got (of those that reach somebody). */
  readonly requests: () => number;
  close(): Promise<void>;
}

export const HOSTILE = [
  ...[
    'dead',
    'silent',
    'dripping',
    'resetting',
    'failing',
    'unavailable',
    'throttling',
    'garbage',
    'endless',
    'redirecting',
  ],
  ...['partial', 'lying'],
] as const;
export type Hostility = 'dead' | (typeof HOSTILE)[number];

const HUGE = Buffer.alloc(1_000_000, 'x');

/** What it does to a request whose body it has read. */
const ANSWERS: Readonly<Record<string, (response: ServerResponse) => void>> = {
  /** Takes the spans, and never says so. */
  silent: () => {},
  /** Always about to answer: no socket is ever idle. */
  dripping(response) {
    response.writeHead(200);
    const timer = setInterval(() => response.write('x'), 20);
    response.on('close', () => clearInterval(timer));
  },
  failing: (response) => response.writeHead(500).end('<html>an error page</html>'),
  unavailable: (response) => response.writeHead(503).end(),
  throttling: (response) => response.writeHead(429, { 'retry-after': '86400' }).end(),
  garbage: (response) => response.writeHead(200).end(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x07, 1, 2, 3])),
  /** Four megabytes are read at most. */
  endless(response) {
    response.writeHead(200);
    const more = () => {
      while (!response.destroyed && response.write(HUGE));
    };
    response.on('drain', more);
    more();
  },
  redirecting: (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
  partial: (response) => response.writeHead(200).end(partialSuccess(REJECTED)),
  /** Says that it rejected more than it ever got. */
  lying: (response) => response.writeHead(200).end(partialSuccess(2_000_000_000)),
};

/** Of each request, says `partial`. */
export const REJECTED = 3;

function partialSuccess(rejectedSpans: number): Uint8Array {
  const inner = protobuf.Writer.create().uint32(8).int64(rejectedSpans).uint32(18).string('too old').finish();
  return protobuf.Writer.create().uint32(10).bytes(inner).finish();
}

export async function startHostileReceiver(kind: Hostility): Promise<HostileReceiver> {
  if (kind === 'dead')
    return { endpoint: `http://127.0.0.1:${await freePort()}`, requests: () => 0, close: async () => {} };
  let requests = 0;
  if (kind === 'resetting') {
    // Breaks the connection in the middle of the request.
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        requests += 1;
        socket.resetAndDestroy();
      });
    });
    return listening(server, () => requests);
  }
  const listener: RequestListener = (request, response) => {
    request.on('error', () => {});
    response.on('error', () => {});
    request.resume().on('end', () => {
      if (request.url === '/v1/traces') requests += 1;
      ANSWERS[kind]?.(response);
    });
  };
  return listening(createServer(listener), () => requests);
}

async function listening(server: Server | TcpServer, requests: () => number): Promise<HostileReceiver> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    requests,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
