import type { MigrationSet } from '../../shared/storage/migrate.ts';

/** The reference shop's own tables. */
export const ORDERS_MIGRATIONS: MigrationSet = {
  schema: 'shop',
  migrations: [
    {
      name: '0001-orders-and-contracts',
      sql: `
CREATE TABLE shop.customer_order (
  order_key       text PRIMARY KEY,
  saga_id         text NOT NULL UNIQUE,
  idempotency_key text UNIQUE,             -- of the request that placed it
  request_hash    text NOT NULL,           -- so that the key cannot be used for another order
  domain          text NOT NULL,
  email           text NOT NULL,
  amount_minor    integer NOT NULL,
  currency        text NOT NULL,
  items_count     integer NOT NULL,
  placed_at       timestamptz NOT NULL DEFAULT now(),
  confirmed_at    timestamptz
);

CREATE TABLE shop.contract (
  saga_id    text PRIMARY KEY,
  order_key  text NOT NULL REFERENCES shop.customer_order,
  account_id text NOT NULL,
  signed_at  timestamptz NOT NULL DEFAULT now()
);
`,
    },
    {
      name: '0002-customers',
      sql: `
-- Who has ordered, or was taken over from elsewhere: whom campaigns are for.
CREATE TABLE shop.customer (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email      text NOT NULL,
  first_name text,
  push_token text,                         -- of the app on their telephone
  time_zone  text,                         -- IANA name
  since      timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX customer_email ON shop.customer (lower(email));
INSERT INTO shop.customer (email) SELECT DISTINCT ON (lower(email)) email FROM shop.customer_order;

CREATE INDEX customer_order_email ON shop.customer_order (lower(email)) WHERE confirmed_at IS NOT NULL;
`,
    },
  ],
};
