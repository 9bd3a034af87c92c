import { z } from 'zod';

/** An order for a Google Workspace card, as it is placed. */
export const orderSchema = z.strictObject({
  orderKey: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
      'expected up to 128 letters, digits, dots, dashes or underscores',
    ),
  domain: z.hostname(),
  email: z.email(),
});

export type Order = z.infer<typeof orderSchema>;
