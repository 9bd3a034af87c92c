import type { Role } from '../support/crash-system.ts';
import type { Statement } from '../support/pg-gate.ts';

/** Which order it takes to come to a point. */
export type Course =
  /** Small enough to be paid at once. */
  | 'confirmed'
  /** The customer approves the payment at the bank. */
  | 'approved'
  /** The workspace is set up, the answer is lost, and then the partner refuses: all of it is undone. */
  | 'compensated';

export type When = 'before' | 'after';

/** A place at which a process is killed. */
export type Place =
  | { readonly at: 'effect'; readonly what: string }
  | { readonly at: 'statement'; readonly matches: (statement: Statement) => boolean; readonly nth?: number };

export interface Point {
  /** `SIGKILL the ROLE WHEN NAME` */
  readonly name: string;
  readonly role: Role;
  readonly when: When;
  readonly course: Course;
  readonly place: Place;
  /** The next process is killed as well, there. */
  readonly next?: Omit<Point, 'name' | 'course'>;
}

interface Row {
  readonly name: string;
  readonly role?: Role;
  readonly course?: Course;
  readonly place: Place;
  readonly next?: Point['next'];
}

/** Each row is two points: before and after. */
export function beforeAndAfter(rows: readonly Row[]): Point[] {
  return rows.flatMap(({ name, role = 'order-service', course = 'confirmed', place, next }) =>
    (['before', 'after'] as const).map((when) => ({
      name: `${when} ${name}`,
      role,
      when,
      course,
      place,
      ...(next && { next }),
    })),
  );
}

/** A call of a partner: before the effect happens, or after it and before the answer. */
export function effect(what: string): Place {
  return { at: 'effect', what };
}

const JOURNAL = /throughline-saga-(?:append|update|checkpoint)/;

/** The journal's record of an event: `"kind":"completed","step":"redeem-card"`; `nth`, from 1, of an order's. */
export function recorded(kind: string, step?: string, nth = 1): Place {
  const event = `"kind":"${kind}"${step === undefined ? '' : `,"step":"${step}"`}`;
  return { at: 'statement', matches: ({ text }) => JOURNAL.test(text) && text.includes(event), nth };
}

/** The commit of a transaction in which all of these occur. */
export function committed(...parts: readonly string[]): Place {
  return {
    at: 'statement',
    matches: ({ text, transaction }) =>
      text.startsWith('COMMIT') && parts.every((part) => transaction.includes(part)),
  };
}

/** A prepared statement; `nth`, from 1, when it is not the first of its kind in an order's life. */
export function statement(name: string, { nth = 1, part = '' } = {}): Place {
  return { at: 'statement', matches: ({ text }) => text.includes(name) && text.includes(part), nth };
}
