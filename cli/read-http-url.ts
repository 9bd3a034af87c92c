import { InvalidArgumentError } from 'commander';

/** For an option's value, without slashes at its end. Errors: InvalidArgumentError. */
export function readHttpUrl(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text.replace(/\/+$/, '');
  throw new InvalidArgumentError('It must be an http:// or https:// address.');
}
