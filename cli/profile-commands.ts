import type { Command } from 'commander';
import { addProfileDiff } from './profile-diff.ts';
import { addProfileFlame } from './profile-flame.ts';
import { addProfileShow } from './profile-show.ts';
import { addProfileTake } from './profile-take.ts';

/** `throughline profile`, which takes one, and `throughline profile …`, which reads them. */
export function addProfileCommands(program: Command): void {
  const profile = program
    .command('profile')
    .description('CPU and heap by span and order step: take a profile, look at it, compare two');
  addProfileTake(profile);
  addProfileShow(profile);
  addProfileDiff(profile);
  addProfileFlame(profile);
}
