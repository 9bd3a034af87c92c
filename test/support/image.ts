import { execFile } from 'node:child_process';
import { chmod, copyFile, cp, link, mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { cleanEnvironment, ROOT } from './child-process.ts';
import { readDockerfile, readIgnored, type Stage } from './dockerfile.ts';

const run = promisify(execFile);

/** What a container of the image would start with, as files on this machine. */
export interface Image {
  /** Its working folder, `/app`. */
  readonly folder: string;
  /** What `node` is in it. */
  readonly node: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly user: string;
  readonly stopSignal: string;
  readonly command: readonly string[];
  remove(): Promise<void>;
}

/**
 * Carries out deploy/Dockerfile without a container engine: each stage in a folder of its own, where its COPY lines bring
 * what its ignore file lets through, and nothing else is. Its RUN lines are run by this machine's shell and npm, with this
 * project's Node. What a base image brings is not tried: its own Node, its libraries and its users.
 */
export async function assembleImage(): Promise<Image> {
  const base = await mkdtemp(join(tmpdir(), 'throughline-image-'));
  const remove = () => rm(base, { recursive: true, force: true });
  try {
    const stages = readDockerfile(join(ROOT, 'deploy/Dockerfile'));
    const ignored = readIgnored(join(ROOT, 'deploy/Dockerfile.dockerignore'));
    for (const stage of stages) await build(stage, { base, isCopied: (path) => !ignored(path) });
    const last = stages.at(-1);
    if (last === undefined) throw new Error('the Dockerfile has no stage');
    // As in the image, anybody may read and nobody but root may write.
    await run('chmod', ['-R', 'a+rX,go-w', base]);
    const node = join(base, 'bin', 'node');
    await mkdir(dirname(node));
    await link(process.execPath, node).catch(() => copyFile(process.execPath, node));
    await chmod(dirname(node), 0o755);
    const { environment, user, stopSignal, command } = last;
    return { folder: join(base, last.name), node, environment, user, stopSignal, command, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

interface Build {
  readonly base: string;
  /** Whether a path of the repository gets into the build at all. */
  readonly isCopied: (path: string) => boolean;
}

async function build(stage: Stage, { base, isCopied }: Build): Promise<void> {
  const folder = join(base, stage.name);
  await mkdir(folder);
  for (const step of stage.steps) {
    if (step.kind === 'run') {
      const env = { ...cleanEnvironment(stage.environment), npm_config_prefer_offline: 'true' };
      await run('sh', ['-c', step.command], { cwd: folder, env, maxBuffer: 10_000_000 });
      continue;
    }
    for (const source of step.sources) {
      const from = step.from === undefined ? join(ROOT, source) : join(base, step.from, inApp(source));
      const to = step.to === './' ? join(folder, basename(source)) : join(folder, step.to);
      await stat(from); // COPY fails where there is nothing
      const filter = (path: string) => step.from !== undefined || isCopied(relative(ROOT, path));
      if (!filter(from)) throw new Error(`${source} is copied, and ignored`);
      await cp(from, to, { recursive: true, filter, verbatimSymlinks: true });
    }
  }
}

const inApp = (path: string) => path.replace(/^\/app\//, '');
