import { defineSegment, type Segment } from '../../publisher/campaign/index.ts';
import { UNSUBSCRIBE_URL } from './unsubscribe.ts';

/** Whom the shop writes to. Fields: what templates may name. */
const CUSTOMER = `
  SELECT c.id AS key, c.email AS address, c.time_zone, c.email, c.first_name AS "firstName", to_char(c.since, 'YYYY-MM-DD') AS since,
    '${UNSUBSCRIBE_URL}' AS "unsubscribeUrl"
  FROM shop.customer c`;
const FIELDS = ['email', 'firstName', 'since', 'unsubscribeUrl'];

const OWNS_WORKSPACE = `EXISTS (
  SELECT FROM shop.customer_order o WHERE lower(o.email) = lower(c.email) AND o.confirmed_at IS NOT NULL)`;

/** By e-mail. */
const customers = defineSegment({
  ...{ name: 'customers', description: 'every customer', keyType: 'bigint' },
  ...{ sql: CUSTOMER, fields: FIELDS },
});

const workspaceOwners = defineSegment({
  ...{ name: 'workspace-owners', description: 'customers with a confirmed order', keyType: 'bigint' },
  ...{ sql: `${CUSTOMER} WHERE ${OWNS_WORKSPACE}`, fields: FIELDS },
});

/** By push. */
const appUsers = defineSegment({
  ...{ name: 'app-users', description: 'customers with the app on their telephone', keyType: 'bigint' },
  sql: CUSTOMER.replace('c.email AS address', 'c.push_token AS address').concat(
    ' WHERE c.push_token IS NOT NULL',
  ),
  fields: FIELDS,
});

export const SEGMENTS: readonly Segment[] = [customers, workspaceOwners, appUsers];
