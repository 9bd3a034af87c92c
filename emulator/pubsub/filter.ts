import { FilterSyntaxError, readTokens, type Token } from './filter-lexer.ts';
import { MAX_FILTER_BYTES, tooLarge } from './limits.ts';
import { invalidArgument } from './status.ts';

export type Attributes = ReadonlyMap<string, string>;
type Predicate = (attributes: Attributes) => boolean;

/** A subscription's filter; its text is kept because clients read it back. */
export interface Filter {
  readonly text: string;
  readonly matches: Predicate;
}

/**
 * Source: https://cloud.google.com/pubsub/docs/subscription-message-filter
 *
 *     expression = term { "AND" term } | term { "OR" term }        one of the two: mixing needs parentheses
 *     term       = ( "NOT" | "-" ) term | "(" expression ")" | comparison
 *     comparison = "attributes" ":" key
 *                | "attributes" "." key ( "=" | "!=" ) string
 *                | "hasPrefix" "(" "attributes" "." key "," string ")"
 *     key        = word | string
 *
 * Errors: INVALID_ARGUMENT with the position.
 */
export function parseFilter(text: string): Filter {
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_FILTER_BYTES) throw tooLarge('filter', bytes, MAX_FILTER_BYTES);
  try {
    return { text, matches: new FilterParser(readTokens(text)).parse() };
  } catch (error) {
    if (!(error instanceof FilterSyntaxError)) throw error;
    throw invalidArgument(`The filter is not valid: ${error.message} (filter=${text}).`);
  }
}

class FilterParser {
  readonly #tokens: readonly Token[];
  #index = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): Predicate {
    const predicate = this.#expression();
    if (this.#next.kind !== 'end') throw this.#unexpected('AND or OR');
    return predicate;
  }

  #expression(): Predicate {
    const terms = [this.#term()];
    const operator = this.#next.text;
    if (!this.#isWord('AND') && !this.#isWord('OR')) return terms[0] as Predicate;
    while (this.#isWord(operator)) {
      this.#index++;
      terms.push(this.#term());
    }
    if (this.#isWord('AND') || this.#isWord('OR'))
      throw new FilterSyntaxError(
        `AND and OR need parentheses when they are mixed, position ${this.#next.at}`,
      );
    return operator === 'AND'
      ? (attributes) => terms.every((term) => term(attributes))
      : (attributes) => terms.some((term) => term(attributes));
  }

  #term(): Predicate {
    if (this.#isWord('NOT') || this.#isSymbol('-')) {
      this.#index++;
      const term = this.#term();
      return (attributes) => !term(attributes);
    }
    if (!this.#isSymbol('(')) return this.#comparison();
    this.#index++;
    const expression = this.#expression();
    this.#expect(')');
    return expression;
  }

  #comparison(): Predicate {
    if (this.#isWord('hasPrefix')) return this.#hasPrefix();
    this.#expect('attributes');
    if (this.#isSymbol(':')) {
      this.#index++;
      const key = this.#key();
      return (attributes) => attributes.has(key);
    }
    this.#expect('.');
    const key = this.#key();
    if (!this.#isSymbol('=') && !this.#isSymbol('!=')) throw this.#unexpected('= or !=');
    const isEqual = this.#tokens[this.#index++]?.text === '=';
    const value = this.#string();
    return (attributes) => (attributes.get(key) === value) === isEqual;
  }

  #hasPrefix(): Predicate {
    this.#index++;
    this.#expect('(');
    this.#expect('attributes');
    this.#expect('.');
    const key = this.#key();
    this.#expect(',');
    const prefix = this.#string();
    this.#expect(')');
    return (attributes) => attributes.get(key)?.startsWith(prefix) ?? false;
  }

  #key(): string {
    const token = this.#next;
    if (token.kind !== 'word' && token.kind !== 'string') throw this.#unexpected('an attribute key');
    this.#index++;
    return token.text;
  }

  #string(): string {
    const token = this.#next;
    if (token.kind !== 'string') throw this.#unexpected('a string in double quotes');
    this.#index++;
    return token.text;
  }

  #expect(text: string): void {
    if (!this.#isWord(text) && !this.#isSymbol(text)) throw this.#unexpected(text);
    this.#index++;
  }

  get #next(): Token {
    return this.#tokens[this.#index] as Token;
  }

  #isWord(text: string): boolean {
    return this.#next.kind === 'word' && this.#next.text === text;
  }

  #isSymbol(text: string): boolean {
    return this.#next.kind === 'symbol' && this.#next.text === text;
  }

  #unexpected(wanted: string): FilterSyntaxError {
    return new FilterSyntaxError(
      `expected ${wanted} but found ${this.#next.text} at position ${this.#next.at}`,
    );
  }
}
