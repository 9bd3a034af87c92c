import { createServer } from 'node:net';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { withDatabase } from '../support/postgres-server.ts';
import { complaint, throughline } from './throughline.ts';

const SOMEWHERE = { DATABASE_URL: 'postgresql://user@127.0.0.1:1/shop' };

describe('throughline: arguments and settings', () => {
  it('prints help with examples, for the program and for each command', async () => {
    const commands = [
      [],
      ['db', 'migrate'],
      ['db', 'status'],
      ...['list', 'show', 'retry', 'skip', 'resolve'].map((name) => ['saga', name]),
      ...['add', 'list', 'lift'].map((name) => ['fence', name]),
      ...['list', 'show', 'redrive', 'drop'].map((name) => ['dead-letter', name]),
      ...['list', 'show'].map((name) => ['job', name]),
      ...['place', 'list', 'show', 'watch'].map((name) => ['order', name]),
      ...['diff', 'apply'].map((name) => ['topology', name]),
      ['admin', 'serve'],
      ['slo', 'report'],
      ['capacity'],
      ...[
        ...['create', 'preview', 'approve', 'start', 'pause', 'resume', 'cancel'],
        ...['status', 'list', 'watch'],
      ].map((name) => ['campaign', name]),
      ...['add', 'remove'].map((name) => ['suppression', name]),
      ['sampling', 'estimate'],
      ...['take', 'show', 'diff', 'flame'].map((name) => ['profile', name]),
      ...['list', 'pause', 'resume', 'remove'].map((name) => ['schedule', name]),
    ];
    for (const command of commands) {
      const { exitCode, stdout, stderr } = await throughline([...command, '--help']);
      expect([exitCode, stderr]).toEqual([0, '']);
      expect(stdout).toContain(`  $ throughline ${command.join(' ')}`);
    }
  }, 240_000);

  it('knows its version', async () => {
    const { exitCode, stdout } = await throughline(['--version']);
    expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)]);
  });

  it.each([
    [['saga', 'lst'], "unknown command 'lst' (Did you mean list?)"],
    [['saga', 'list', '--jsn'], "unknown option '--jsn' (Did you mean --json?)"],
    [
      ['saga', 'list', '--state', 'lost'],
      `option '--state <states>' argument 'lost' is invalid. There is no state "lost".`,
    ],
    [
      ['saga', 'list', '--limit', '0'],
      "option '--limit <n>' argument '0' is invalid. It must be a number from 1 to 10000.",
    ],
    [['saga', 'show'], "missing required argument 'saga'"],
    [['saga', 'skip', 'any', '--yes'], "required option '--reason <text>' not specified"],
    [['saga', 'resolve', 'any', '--yes', '--reason', ' '], 'saga resolve: reason: expected why'],
    [
      ['saga', 'skip', 'any', '--reason', 'why'],
      'saga skip asks before it acts, and there is no terminal to ask on; say --yes',
    ],
    [
      ['db', 'status', '--schema', 'other'],
      expect.stringContaining("argument 'other' is invalid. Allowed choices are throughline, shop, all."),
    ],
    [['capacity'], "required option '--prometheus <url>' not specified"],
    [
      ['capacity', '--prometheus', 'http://127.0.0.1:1', '--window', 'long'],
      "option '--window <time>' argument 'long' is invalid. It must be a time such as 30s, 10m or 2h.",
    ],
    [['sampling', 'estimate'], "required option '--rps <number>' not specified"],
    [
      ['sampling', 'estimate', '--rps', 'many'],
      "option '--rps <number>' argument 'many' is invalid. It must be a number.",
    ],
    [
      ['sampling', 'estimate', '--rps', '-5', '--keep', '5'],
      'sampling estimate: requests per second: expected a number from 0 on; keep: expected a share from 0 to 1',
    ],
    [
      ['profile', '--seconds', '301'],
      "option '--seconds <number>' argument '301' is invalid. It must be a number from 0.1 to 300.",
    ],
    [['profile'], 'THROUGHLINE_ADMIN_TOKEN is not set; it is the process’ own'],
    [['profile', 'show', 'package.json'], expect.stringMatching(/^package.json is no pprof profile: /)],
    [['profile', 'show', 'nowhere.pb.gz'], expect.stringMatching(/^nowhere.pb.gz cannot be read: ENOENT/)],
    [
      ['profile', 'flame', 'any.pb.gz', '--output', '/nowhere/flame.html'],
      expect.stringMatching(/^any.pb.gz cannot be read: ENOENT/),
    ],
  ])('refuses %j in one line, with exit code 2', async (args, line) => {
    const ended = await throughline(args, SOMEWHERE);
    expect(complaint(ended)).toEqual(line);
    expect([ended.exitCode, ended.stdout]).toEqual([2, '']);
  });

  it('shows the help on stderr when no command is given', async () => {
    const { exitCode, stdout, stderr } = await throughline(['saga']);
    expect([exitCode, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Usage: throughline saga');
  });

  it.each([
    [{}, 'DATABASE_URL is not set; give the database as postgresql://user:password@host:port/database'],
    [
      { DATABASE_URL: 'mysql://user:secret@host/shop', PORT: 'x' },
      expect.stringMatching(
        /^wrong settings: DATABASE_URL: expected postgresql:\/\/user:password@host:port\/database; PORT: /,
      ),
    ],
  ])('says what is wrong with the settings %j', async (env, line) => {
    const ended = await throughline(['saga', 'list'], env as Record<string, string>);
    expect(complaint(ended)).toEqual(line);
    expect(ended.exitCode).toBe(2);
  });
});

describe('throughline: a database that does not serve', () => {
  it.each(['127.0.0.1', 'localhost'])('says that nobody listens on %s, and why', async (host) => {
    const ended = await throughline(['saga', 'list'], {
      DATABASE_URL: `postgresql://user:secret@${host}:1/shop`,
    });
    expect(complaint(ended)).toMatch(/^PostgreSQL is not available: connect ECONNREFUSED [\d.:]+:1$/);
    expect([ended.exitCode, ended.stdout]).toEqual([1, '']);
  });

  it('gives up on a server that accepts and says nothing', async () => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const ended = await throughline(['saga', 'list'], {
      DATABASE_URL: `postgresql://user@127.0.0.1:${port}/shop`,
    });
    expect(complaint(ended)).toBe(
      'PostgreSQL is not available: Connection terminated due to connection timeout',
    );
    expect(ended.exitCode).toBe(1);
  });

  it('passes on what the server says of a database that is not there', async () => {
    const DATABASE_URL = withDatabase(inject('postgres').url, 'nowhere');
    const ended = await throughline(['saga', 'list'], { DATABASE_URL });
    expect(complaint(ended)).toBe('database "nowhere" does not exist');
    expect(ended.exitCode).toBe(1);
  });
});
