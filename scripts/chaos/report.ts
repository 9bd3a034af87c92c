import type { Plan } from './plan.ts';
import type { ChaosResult } from './run.ts';

const SHOWN = 20;

/** Whether all promises held. */
export function isRight({ lost, doubled, disconnected, silent }: ChaosResult): boolean {
  return [lost, doubled, disconnected, silent].every((wrong) => wrong.length === 0);
}

/** For people. */
export function summarise({ seed, lengthMs, blows }: Plan, result: ChaosResult): string {
  const hits = Map.groupBy(blows, ({ target }) => target);
  const list = [...hits].map(([target, own]) => `${target} ${own.length}`).sort();
  return [
    `\nSeed ${seed}, ${Math.round(lengthMs / 1_000)} s of load, ${blows.length} blows: ${list.join(', ')}.`,
    `${result.orders} orders: ${result.confirmed} confirmed, ${result.compensated} compensated, ${result.stuck.length} stuck and visible.`,
    ...section('lost', result.lost),
    ...section('doubled', result.doubled),
    ...section('disconnected', result.disconnected),
    ...section('silent', result.silent),
    ...section('stuck or parked, and visible (allowed)', result.stuck),
    ...section('processes that ended although nobody killed them', result.ended),
    isRight(result) ? 'All promises held.' : 'Promises were broken.',
  ].join('\n');
}

function section(title: string, sentences: readonly string[]): string[] {
  const more = sentences.length > SHOWN ? [`    … and ${sentences.length - SHOWN} more`] : [];
  return [`  ${sentences.length} ${title}`, ...sentences.slice(0, SHOWN).map((one) => `    ${one}`), ...more];
}

/** For programs: one line. */
export function toJson({ seed, lengthMs, blows }: Plan, result: ChaosResult): string {
  const { orders, confirmed, compensated, lost, doubled, disconnected, silent, stuck, ended } = result;
  return JSON.stringify({
    orders,
    lost: lost.length,
    doubled: doubled.length,
    disconnected: disconnected.length,
    silent: silent.length,
    seed,
    confirmed,
    compensated,
    stuck: stuck.length,
    ended: ended.length,
    blows: blows.length,
    minutes: lengthMs / 60_000,
  });
}
