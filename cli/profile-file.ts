import { readFile } from 'node:fs/promises';
import { NotAProfileError } from '../shared/profile/errors.ts';
import { decodeProfile, type Profile } from '../shared/profile/pprof.ts';
import { UsageError } from './failure.ts';

/** Errors: UsageError, when it cannot be read or is no profile. */
export async function readProfile(path: string): Promise<Profile> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${(error as Error).message}`);
  }
  try {
    return decodeProfile(bytes);
  } catch (error) {
    if (error instanceof NotAProfileError)
      throw new UsageError(`${path} is ${error.message}`, { cause: error });
    throw error;
  }
}
