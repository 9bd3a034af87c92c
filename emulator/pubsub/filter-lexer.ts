/** A piece of a filter. `text` of a string is its value, with escapes resolved. */
export interface Token {
  readonly kind: 'word' | 'string' | 'symbol' | 'end';
  readonly text: string;
  readonly at: number;
}

export class FilterSyntaxError extends Error {
  override readonly name = 'FilterSyntaxError';
}

const SPACE = /\s+/y;
/** Also a key without quotes, which may hold hyphens and begin with a digit. */
const WORD = /[A-Za-z0-9_][A-Za-z0-9_-]*/y;
const SYMBOL = /!=|[=:.,()-]/y;
const STRING = /"((?:[^"\\\n]|\\.)*)"/y;
const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|([0-3][0-7]{2})|(.))/g;
const NAMED_ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  '\\': '\\',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

export function readTokens(source: string): Token[] {
  const tokens: Token[] = [];
  let at = match(SPACE, source, 0)?.end ?? 0;
  while (at < source.length) {
    const { token, end } = readToken(source, at);
    tokens.push(token);
    at = match(SPACE, source, end)?.end ?? end;
  }
  tokens.push({ kind: 'end', text: 'the end', at });
  return tokens;
}

function readToken(source: string, at: number): { token: Token; end: number } {
  const string = match(STRING, source, at);
  if (string) return { token: { kind: 'string', text: resolveEscapes(string.content), at }, end: string.end };
  const word = match(WORD, source, at);
  if (word) return { token: { kind: 'word', text: word.content, at }, end: word.end };
  const symbol = match(SYMBOL, source, at);
  if (symbol) return { token: { kind: 'symbol', text: symbol.content, at }, end: symbol.end };
  const what = source[at] === '"' ? 'unterminated string' : `unexpected character ${source[at]}`;
  throw new FilterSyntaxError(`${what} at position ${at}`);
}

function match(pattern: RegExp, source: string, at: number): { content: string; end: number } | undefined {
  pattern.lastIndex = at;
  const found = pattern.exec(source);
  return found ? { content: found[1] ?? found[0], end: pattern.lastIndex } : undefined;
}

function resolveEscapes(text: string): string {
  return text.replace(ESCAPE, (whole, u4, u8, hex, octal, named) => {
    const digits = u4 ?? u8 ?? hex;
    const code = digits === undefined ? Number.parseInt(octal ?? '', 8) : Number.parseInt(digits, 16);
    if (code <= 0x10ffff) return String.fromCodePoint(code);
    const character = named === undefined ? undefined : NAMED_ESCAPES[named];
    if (character === undefined) throw new FilterSyntaxError(`unknown escape ${whole}`);
    return character;
  });
}
