import { invalidArgument } from './status.ts';

const MAX_PAGE_SIZE = 1_000;

export interface PageRequest {
  readonly pageSize?: number | null;
  readonly pageToken?: string | null;
}

/**
 * One page of the names, sorted. The token is the last name of the page before, so that a page stays right when
 * resources come and go in between.
 */
export function pageOf(
  names: Iterable<string>,
  request: PageRequest,
): { names: string[]; nextPageToken: string } {
  const size = request.pageSize || MAX_PAGE_SIZE;
  if (size < 0) throw invalidArgument(`Invalid page_size (page_size=${size}): it must not be negative.`);
  const after = request.pageToken ?? '';
  const rest = [...names].filter((name) => name > after).sort();
  const page = rest.slice(0, Math.min(size, MAX_PAGE_SIZE));
  return { names: page, nextPageToken: page.length < rest.length ? (page.at(-1) ?? '') : '' };
}
