import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';

/** Compiles the library for `npm pack`: Node does not strip types from packages under node_modules. */
rmSync('dist', { recursive: true, force: true });
const { status } = spawnSync('tsc', ['--project', 'tsconfig.build.json'], { stdio: 'inherit' });
process.exit(status ?? 1);
