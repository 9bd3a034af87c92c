/** Waits that can all be cut short, because the process stops. */
export interface Pauses {
  /** Resolves after `ms`, or when all pauses are ended. */
  pause(ms: number): Promise<void>;
  end(): void;
}

export function createPauses(): Pauses {
  const ends = new Set<() => void>();
  return {
    pause: (ms) =>
      new Promise((resolve) => {
        const end = () => {
          clearTimeout(timer);
          ends.delete(end);
          resolve();
        };
        const timer = setTimeout(end, ms);
        ends.add(end);
      }),
    end() {
      for (const end of ends) end();
    },
  };
}
