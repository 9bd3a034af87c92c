import { INVALID_SPAN_CONTEXT } from '@opentelemetry/api';
import { expect, test } from 'vitest';
import { links, linkTo } from './links.ts';

const SPAN = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };

test('a link says why it is there', () => {
  expect(linkTo(SPAN, 'undoes')).toEqual({
    context: SPAN,
    attributes: { 'throughline.link.reason': 'undoes' },
  });
});

test('there is no link to nothing or to an invalid span', () => {
  expect(linkTo(undefined, 'producer')).toBeUndefined();
  expect(linkTo(INVALID_SPAN_CONTEXT, 'producer')).toBeUndefined();
  expect(linkTo({ ...SPAN, spanId: 'not hex' }, 'producer')).toBeUndefined();
});

test('keeps the links that exist, in order', () => {
  const found = links(linkTo(SPAN, 'producer'), linkTo(undefined, 'undoes'), linkTo(SPAN, 'caused-by'));
  expect(found.map(({ attributes }) => attributes?.['throughline.link.reason'])).toEqual([
    'producer',
    'caused-by',
  ]);
});
