/** One value that a process tells Prometheus. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Exposition {
  readonly samples: readonly Sample[];
  /** The name of each metric with its type, as `# TYPE` says. */
  readonly types: ReadonlyMap<string, string>;
}

/** Reads what a scrape answered. Source: Prometheus' text exposition format 0.0.4. */
export function readExposition(text: string): Exposition {
  const lines = text.split('\n');
  const types = new Map(
    lines.flatMap((line) => {
      const [, name = '', type = ''] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? [];
      return name === '' ? [] : [[name, type] as const];
    }),
  );
  const samples = lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      if (value === undefined) throw new Error(`no sample: ${line}`);
      return { name, labels: readLabels(labels), value: Number(value) };
    });
  return { samples, types };
}

/** A selector of an expression: `name{label="value",other=~"a|b"}`. */
export interface Selector {
  readonly name: string;
  readonly matches: (labels: Readonly<Record<string, string>>) => boolean;
}

/** Every selector in an expression of PromQL, as far as our own rules go. */
export function selectorsIn(expression: string): Selector[] {
  const found = expression.matchAll(
    /\b((?:throughline|messaging|nodejs|v8js|otel|objective)[\w:]*)(?:\{([^}]*)\})?/g,
  );
  return [...found]
    .filter(
      ([, , labels], index, all) => labels !== undefined || !isLabel(expression, all[index]?.index ?? 0),
    )
    .map(([, name = '', labels = '']) => ({ name, matches: matcher(labels) }));
}

/** Labels bear such names too: in `by (…)` and inside braces. */
function isLabel(expression: string, at: number): boolean {
  const before = expression.slice(0, at);
  const inBraces = before.lastIndexOf('{') > before.lastIndexOf('}');
  return inBraces || /\b(by|on|ignoring|without) ?\([^)]*$/.test(before);
}

function matcher(text: string): Selector['matches'] {
  const conditions = [...text.matchAll(/(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"/g)].map(
    ([, label = '', operator, value = '']) => {
      const pattern = new RegExp(`^(?:${value.replaceAll('\\\\', '\\')})$`);
      return (labels: Readonly<Record<string, string>>) => {
        const own = labels[label] ?? '';
        const fits = operator === '=' || operator === '!=' ? own === value : pattern.test(own);
        return operator === '!=' || operator === '!~' ? !fits : fits;
      };
    },
  );
  return (labels) => conditions.every((condition) => condition(labels));
}

function readLabels(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]),
  );
}
