import { describe, expect, test } from 'vitest';
import { parseFilter } from './filter.ts';

const matches = (filter: string, attributes: Record<string, string>) =>
  parseFilter(filter).matches(new Map(Object.entries(attributes)));

describe('a filter', () => {
  test('compares keys and values with regard to case', () => {
    expect(matches('attributes:Region', { region: 'us' })).toBe(false);
    expect(matches('attributes.region = "US"', { region: 'us' })).toBe(false);
  });

  test('takes keys with hyphens and leading digits unquoted, and any other key quoted', () => {
    expect(matches('attributes:ce-type', { 'ce-type': 'x' })).toBe(true);
    expect(matches('attributes.1st = "x"', { '1st': 'x' })).toBe(true);
    expect(matches('attributes."a b" = "x"', { 'a b': 'x' })).toBe(true);
  });

  test('lets a missing attribute pass "is not"', () => {
    expect(matches('attributes.region != "us"', {})).toBe(true);
  });

  test('lets NOT and - reach only the next term', () => {
    expect(matches('NOT attributes:a AND attributes:b', { b: '' })).toBe(true);
    expect(matches('NOT (attributes:a AND attributes:b)', { a: '' })).toBe(true);
    expect(matches('NOT -attributes:a', { a: '' })).toBe(true);
  });

  test.each(['\\u00e9', '\\U000000e9', '\\xe9', '\\351'])('reads the escape %s', (sequence) => {
    expect(matches(`attributes.k = "${sequence}"`, { k: 'é' })).toBe(true);
  });

  test('chains one operator, and mixes them only with parentheses', () => {
    expect(matches('attributes:a OR attributes:b OR attributes:c', { c: '' })).toBe(true);
    expect(matches('attributes:a AND (attributes:b OR attributes:c)', { a: '', c: '' })).toBe(true);
    expect(() => parseFilter('attributes:a OR attributes:b AND attributes:c')).toThrow(/need parentheses/);
  });
});

test.each([
  'attributes',
  'attributes:',
  'attributes.a',
  'attributes.a == "b"',
  'attributes.a = b',
  'attributes.a = "b" attributes.c = "d"',
  'attributes.a = "\\q"',
  'attributes.a = "\\U99999999"',
  'and attributes:a',
  '()',
  'hasPrefix(attributes.a)',
  'hasPrefix(attributes:a, "b")',
  'attributes:a)',
])('refuses %s and says why', (filter) => {
  expect(() => parseFilter(filter)).toThrow(/The filter is not valid: .+\(filter=/);
});
