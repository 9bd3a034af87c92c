import { readFileSync } from 'node:fs';
import { matchesGlob } from 'node:path';

/** As much of a Dockerfile as ours has; every other instruction is an error. */
export interface Stage {
  readonly name: string;
  /** Its base image. */
  readonly image: string;
  readonly steps: Step[];
  readonly environment: Record<string, string>;
  user: string;
  stopSignal: string;
  command: readonly string[];
}

type Step =
  | { readonly kind: 'run'; readonly command: string }
  | {
      readonly kind: 'copy';
      /** A stage; undefined: the repository. */
      readonly from: string | undefined;
      readonly sources: readonly string[];
      readonly to: string;
    };

export function readDockerfile(path: string): Stage[] {
  const stages: Stage[] = [];
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [, instruction = '', rest = ''] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    if (instruction === 'FROM') stages.push(newStage(rest));
    else apply(stages.at(-1), instruction, rest, line);
  }
  return stages;
}

function newStage(rest: string): Stage {
  const [image = '', , name = 'image'] = rest.split(' ');
  return { name, image, steps: [], environment: {}, user: 'root', stopSignal: '', command: [] };
}

function apply(stage: Stage | undefined, instruction: string, rest: string, line: string): void {
  if (stage === undefined) throw new Error(`before the first FROM: ${line}`);
  const words = rest.split(' ');
  switch (instruction) {
    case 'WORKDIR':
      if (rest !== '/app') throw new Error(`expected /app: ${line}`);
      return;
    case 'COPY': {
      const from = words[0]?.startsWith('--from=') ? words.shift()?.slice('--from='.length) : undefined;
      const to = words.pop() ?? '';
      stage.steps.push({ kind: 'copy', from, sources: words, to });
      return;
    }
    case 'RUN':
      stage.steps.push({ kind: 'run', command: rest });
      return;
    case 'ENV':
      Object.assign(stage.environment, Object.fromEntries(words.map((word) => word.split('='))));
      return;
    case 'USER':
      stage.user = rest;
      return;
    case 'STOPSIGNAL':
      stage.stopSignal = rest;
      return;
    case 'CMD':
      stage.command = JSON.parse(rest) as string[];
      return;
    default:
      throw new Error(`cannot carry out: ${line}`);
  }
}

/** Whether an ignore file that lets in by `!name`, after `*`, keeps a path of the repository out. */
export function readIgnored(path: string): (path: string) => boolean {
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const letIn = lines.flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []));
  const [all, ...keptOut] = lines.filter((line) => !line.startsWith('!'));
  if (all !== '*') throw new Error(`${path}: expected * first`);
  return (file) =>
    !letIn.includes(file.split('/')[0] ?? '') || keptOut.some((pattern) => matchesGlob(file, pattern));
}
