import { defineSegment, type Segment } from '../../publisher/campaign/index.ts';

/** Of the customers of a campaign's lab: all of them, and by what they pay. */
export const segments: readonly Segment[] = ['everybody', 'free', 'paid'].map((name) =>
  defineSegment({
    name,
    description: `customers: ${name}`,
    sql: `SELECT id AS key, email AS address, zone AS time_zone, name AS "firstName", plan FROM customer
      ${name === 'everybody' ? '' : `WHERE plan = '${name}'`}`,
    fields: ['firstName', 'plan'],
  }),
);
