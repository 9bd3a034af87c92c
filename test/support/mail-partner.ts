import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Notification, NotificationChannel } from '../../publisher/campaign/index.ts';

/** Puts a channel of the test's process behind HTTP, for workers in other processes. Shape: its address. Closed with the test. */
export async function serveMail(mail: NotificationChannel): Promise<string> {
  const server = createServer((request, response) => {
    answer(mail, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function answer(
  mail: NotificationChannel,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  const given = JSON.parse(text);
  const result =
    request.url === '/send' ? await mail.send(given as Notification) : { reference: await mail.find(given) };
  response.setHeader('content-type', 'application/json').end(JSON.stringify(result));
}
