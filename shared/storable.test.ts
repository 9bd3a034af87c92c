import { describe, expect, it } from 'vitest';
import { findUnstorable, storableText } from './storable.ts';

const inJson = (value: unknown) => findUnstorable(JSON.stringify(value));

describe('storableText', () => {
  it('drops NUL and replaces halves of surrogate pairs', () => {
    expect(storableText('a\0b\ud83dc')).toBe('ab\ufffdc');
    expect(storableText('😀 as it was')).toBe('😀 as it was');
  });

  it('cuts between characters', () => {
    expect(storableText('ab😀', 3)).toBe('ab');
    expect(storableText('ab😀', 4)).toBe('ab😀');
    expect(storableText('ab😀c', 4)).toBe('ab😀');
  });
});

describe('findUnstorable', () => {
  it.each([
    ['a text', 'a\0', ''],
    ['a field', { a: [1, { b: 'x\0' }] }, 'a.1.b'],
    ['the first half of a pair', { a: '😀'.slice(0, 1) }, 'a'],
    ['the second half of a pair', ['😀'.slice(1)], '0'],
    ['a key', { a: { 'b\0': 1 } }, 'a.b'],
  ])('names where %s cannot be stored', (_, value, path) => {
    expect(inJson(value)).toBe(path);
  });

  it.each([
    ['whole pairs', { a: '😀' }],
    ['text that spells an escape', { a: '\\u0000', '\\ud83d': '\\\\ud83d' }],
    ['no text', [null, 0, true, {}]],
  ])('lets %s pass', (_, value) => {
    expect(inJson(value)).toBeUndefined();
  });
});
