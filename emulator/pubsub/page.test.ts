import { expect, test } from 'vitest';
import { pageOf } from './page.ts';

const names = ['c', 'a', 'b'];

test('goes through all names, sorted, page by page', () => {
  const first = pageOf(names, { pageSize: 2 });
  expect(first).toEqual({ names: ['a', 'b'], nextPageToken: 'b' });
  expect(pageOf(names, { pageSize: 2, pageToken: first.nextPageToken })).toEqual({
    names: ['c'],
    nextPageToken: '',
  });
});

test('gives no token when the last page is full', () => {
  expect(pageOf(names, { pageSize: 3 }).nextPageToken).toBe('');
});

test('skips nothing when a name of the page before has gone', () => {
  expect(pageOf(['a', 'c'], { pageSize: 2, pageToken: 'b' }).names).toEqual(['c']);
});
