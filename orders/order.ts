import { z } from 'zod';

/** Prices in minor units of EUR, for one user and year. */
const PRICES_MINOR = {
  'workspace-starter': 680,
  'workspace-standard': 1_360,
  'workspace-plus': 2_040,
} as const;
export const CURRENCY = 'EUR';

export const orderKeySchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
    'expected up to 128 letters, digits, dots, dashes or underscores',
  );

const itemSchema = z.strictObject({
  sku: z.enum(['workspace-starter', 'workspace-standard', 'workspace-plus']),
  /** Users. */
  quantity: z.int().min(1).max(300),
});

/** An order for a Google Workspace card, as it is placed. */
export const orderSchema = z.strictObject({
  /** The shop's own key; one is made when it is left out. */
  orderKey: orderKeySchema.optional(),
  domain: z.hostname(),
  email: z.email(),
  cardCode: z
    .string()
    .regex(/^[A-Z0-9][A-Z0-9-]{3,31}$/, 'expected 4 to 32 capital letters, digits or dashes')
    .default('WS-CARD-1'),
  items: z
    .array(itemSchema)
    .min(1)
    .max(20)
    .default([{ sku: 'workspace-starter', quantity: 1 }]),
});

export type OrderRequest = z.input<typeof orderSchema>;
export type Order = z.output<typeof orderSchema>;

export interface OrderTotals {
  readonly amountMinor: number;
  readonly itemsCount: number;
}

export function totalsOf({ items }: Pick<Order, 'items'>): OrderTotals {
  return {
    amountMinor: items.reduce((sum, { sku, quantity }) => sum + PRICES_MINOR[sku] * quantity, 0),
    itemsCount: items.reduce((sum, { quantity }) => sum + quantity, 0),
  };
}
