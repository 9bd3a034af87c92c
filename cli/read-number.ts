import { InvalidArgumentError } from 'commander';

/** For an option's value. Errors: InvalidArgumentError. */
export function readNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('It must be a number.');
}
