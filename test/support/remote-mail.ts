import type { NotificationChannel } from '../../publisher/campaign/index.ts';

/** A worker's side of `serveMail`. */
export function createRemoteMail(url: string): NotificationChannel {
  const ask = async <T>(path: string, body: object): Promise<T> => {
    const response = await fetch(new URL(path, url), { method: 'POST', body: JSON.stringify(body) });
    return (await response.json()) as T;
  };
  return {
    name: 'email',
    addressKey: (address) => address.toLowerCase(),
    send: (notification) => ask('/send', notification),
    find: async (query) => (await ask<{ reference?: string }>('/find', query)).reference,
  };
}
