/** Another order each round, so that none always runs on a warmer or fuller server. */
export function rotated<T>(list: readonly T[], by: number): readonly T[] {
  const at = by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
