/** The longest wait of Node's timers, in ms; a longer one ends at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;
