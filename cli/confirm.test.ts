import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { assertAskable, confirm } from './confirm.ts';

function terminal() {
  const input = Object.assign(new PassThrough(), { isTTY: true });
  const output = new PassThrough({ encoding: 'utf8' });
  return { input, output };
}

describe('confirm', () => {
  it.each(['y', 'yes', 'YES', ' y '])('takes "%s" for yes', async (answer) => {
    const asking = terminal();
    asking.input.write(`${answer}\n`);
    await confirm('Really?', asking);
    expect(asking.output.read()).toContain('Really? [y/N] ');
  });

  it.each(['', 'n', 'yesterday', 'ja'])('takes "%s" for no', async (answer) => {
    const asking = terminal();
    asking.input.write(`${answer}\n`);
    await expect(confirm('Really?', asking)).rejects.toMatchObject({ code: 'DECLINED' });
  });

  it('takes the end of the input for no', async () => {
    const asking = terminal();
    asking.input.end();
    await expect(confirm('Really?', asking)).rejects.toMatchObject({ code: 'DECLINED' });
  });

  it('does not ask where there is no terminal', () => {
    expect(() => assertAskable('saga skip', terminal())).not.toThrow();
    expect(() => assertAskable('saga skip', { input: new PassThrough() })).toThrow('say --yes');
  });
});
