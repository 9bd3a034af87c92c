import { InvalidArgumentError } from 'commander';

/** For an option's value. Errors: InvalidArgumentError. */
export function readHttpUrl(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  throw new InvalidArgumentError('It must be an http:// or https:// address.');
}
