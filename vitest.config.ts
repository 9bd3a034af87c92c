import { defineConfig } from 'vitest/config';
import { PATIENCE_MS } from './test/support/patience.ts';

export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['node_modules/**', 'dist/**'],
    globalSetup: ['test/support/postgres-server.ts', 'test/support/compile-cache.ts'],
    // Google's client would look for a cloud around this machine, and wait for one that may not answer.
    env: { METADATA_SERVER_DETECTION: 'none' },
    testTimeout: 2 * PATIENCE_MS,
    hookTimeout: 2 * PATIENCE_MS,
    expect: { poll: { timeout: PATIENCE_MS } },
    // Two cores: each file starts emulators and processes of its own, so a few files side by side are enough.
    maxWorkers: 2,
  },
});
