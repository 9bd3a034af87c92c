import { userInfo } from 'node:os';
import { UsageError } from './failure.ts';

/** Who acts, unless `--actor` says so. Errors: UsageError. */
export function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    throw new UsageError('the operating system does not know who you are; say it with --actor');
  }
}
