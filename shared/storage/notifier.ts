export interface Notifier {
  notify(channel: string): void;
  /** Resolves when nothing is under way. */
  settled(): Promise<void>;
}

/** One notification at a time per channel; whoever calls meanwhile shares the next. */
export function createNotifier(
  send: (channel: string) => Promise<unknown>,
  onError: (error: unknown) => void,
): Notifier {
  const wanted = new Set<string>();
  const sending = new Map<string, Promise<void>>();
  const sendWanted = async (channel: string) => {
    while (wanted.delete(channel)) await send(channel).catch(onError);
    sending.delete(channel);
  };
  return {
    notify(channel) {
      wanted.add(channel);
      if (!sending.has(channel)) sending.set(channel, sendWanted(channel));
    },
    async settled() {
      await Promise.all(sending.values());
    },
  };
}
