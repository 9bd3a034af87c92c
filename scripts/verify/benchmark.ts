import type { Check } from './check.ts';
import { runProgram } from './program.ts';

/** Passed when the benchmark runs and its last line is what programs read. That line is long, and is not printed. */
export function benchmark(bench: string, ...options: readonly string[]): Check {
  return {
    name: `benchmark ${bench}, small`,
    run() {
      const args = ['scripts/bench/main.ts', bench, ...options, '--json'];
      const { status, stdout } = runProgram(process.execPath, { args, isHeard: false });
      const lines = (stdout ?? '').trimEnd().split('\n');
      const problem = problemOf(lines.at(-1) ?? '', bench);
      console.log((problem === undefined ? lines.slice(0, -1) : lines).join('\n'));
      if (status !== 0) return { isPassed: false, remarks: [`benchmark ${bench}: exit code ${status}`] };
      return { isPassed: problem === undefined, remarks: problem === undefined ? [] : [problem] };
    },
  };
}

function problemOf(line: string, bench: string): string | undefined {
  try {
    const result = JSON.parse(line) as { readonly bench?: unknown; readonly ratios?: unknown } | null;
    if (result?.bench === bench && typeof result.ratios === 'object') return undefined;
  } catch {
    // Told below.
  }
  return `benchmark ${bench}: its last line is not the JSON object of its result`;
}
