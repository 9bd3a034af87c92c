/**
 * How long work waits for one of several equal servers, when it arrives at random and takes random time (M/M/c).
 *
 * Source: A. K. Erlang, 1917; in today's words any text on queueing, "Erlang C".
 */

/** A smaller share is none: no percentile is asked for that is so near to 1. */
const NOBODY = 1e-20;

/**
 * The share of work that finds every server busy.
 *
 * Shape: 0 to 1; 1 when there is more to do than the servers can. `load`: arrivals a second times seconds each, in
 * servers' worth of work.
 */
export function erlangC(servers: number, load: number): number {
  if (load <= 0) return 0;
  if (load >= servers) return 1;
  // Erlang B by its recurrence, which needs no factorials, then C from B.
  let blocked = 1;
  for (let server = 1; server <= servers; server++) {
    blocked = (load * blocked) / (server + load * blocked);
    if (blocked < NOBODY) return 0; // more servers only make it less, and there may be billions
  }
  return blocked / (1 - (load / servers) * (1 - blocked));
}

export interface Queue {
  readonly servers: number;
  readonly arrivalsPerSecond: number;
  /** Of one server for one piece of work. */
  readonly serviceSeconds: number;
}

/** What a given share of all work waits at most, in s; Infinity when the queue grows without end. */
export function waitPercentile({ servers, arrivalsPerSecond, serviceSeconds }: Queue, share: number): number {
  const load = arrivalsPerSecond * serviceSeconds;
  if (load <= 0) return 0;
  if (load >= servers) return Number.POSITIVE_INFINITY;
  const waits = erlangC(servers, load);
  if (waits <= 1 - share) return 0;
  return Math.log(waits / (1 - share)) / (servers / serviceSeconds - arrivalsPerSecond);
}
