import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { PATIENCE_MS } from './test/support/patience.ts';

/** Where this run's processes keep their compiled code (test/support/compile-cache.ts). */
const compiledFolder = join(tmpdir(), `throughline-compiled-${process.pid}`);

export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['node_modules/**', 'dist/**'],
    globalSetup: ['test/support/postgres-server.ts', 'test/support/compile-cache.ts'],
    // Google's client would look for a cloud around this machine, and wait for one that may not answer.
    env: { METADATA_SERVER_DETECTION: 'none', NODE_COMPILE_CACHE: compiledFolder },
    testTimeout: 2 * PATIENCE_MS,
    hookTimeout: 2 * PATIENCE_MS,
    expect: { poll: { timeout: PATIENCE_MS } },
    // Two cores: each file starts emulators and processes of its own, so a few files side by side are enough.
    maxWorkers: 2,
  },
});
