export interface Interrupt {
  readonly signal: AbortSignal;
  /** From now on an interrupt ends the process, as without this. */
  end(): void;
}

/** The first interrupt (Ctrl-C) ends the work where it can be ended; a second one ends the process. */
export function stopsOnInterrupt(): Interrupt {
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  process.once('SIGINT', stop);
  return { signal: stopping.signal, end: () => process.removeListener('SIGINT', stop) };
}
