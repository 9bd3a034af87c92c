export interface Window {
  /** Resolves when there is room, which is then taken. One caller at a time. */
  enter(): Promise<void>;
  readonly leave: () => void;
  /** Resolves when everything that entered has left. */
  empty(): Promise<void>;
}

/** A bound on how much is under way at once. */
export function createWindow(size: number): Window {
  let inside = 0;
  let waiting: { readonly atMost: number; readonly resolve: () => void } | undefined;

  const until = (atMost: number) =>
    inside <= atMost
      ? Promise.resolve()
      : new Promise<void>((resolve) => {
          waiting = { atMost, resolve };
        });

  return {
    async enter() {
      await until(size - 1);
      inside += 1;
    },
    leave() {
      inside -= 1;
      if (!waiting || inside > waiting.atMost) return;
      const { resolve } = waiting;
      waiting = undefined;
      resolve();
    },
    empty: () => until(0),
  };
}
