/** Topics that hang, each left alone for a while: whatever shares a batch with one has to wait for it. */
export interface TopicPauses {
  /** The topics that nothing is to be sent to now. */
  paused(): string[];
  /** A topic was given up without having taken anything. */
  hung(topic: string): void;
  /** A topic took something: it is as good as new. */
  answered(topic: string): void;
}

interface Pause {
  readonly forMs: number;
  readonly untilMs: number;
}

/** A pause is twice as long as the one before it, from `firstMs` to `longestMs`. `now` in ms, from any point in time. */
export function createTopicPauses(
  { firstMs, longestMs }: { readonly firstMs: number; readonly longestMs: number },
  now = () => performance.now(),
): TopicPauses {
  const pauses = new Map<string, Pause>();
  return {
    paused: () => [...pauses].filter(([, { untilMs }]) => untilMs > now()).map(([topic]) => topic),
    hung(topic) {
      const last = pauses.get(topic);
      const forMs = last ? Math.min(last.forMs * 2, longestMs) : firstMs;
      pauses.set(topic, { forMs, untilMs: now() + forMs });
    },
    answered(topic) {
      pauses.delete(topic);
    },
  };
}
