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
  ],
};
