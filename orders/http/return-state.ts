import { createHmac, timingSafeEqual } from 'node:crypto';

/** The `state` that travels through the customer's browser and the bank's page, and proves that we sent them there. */
export interface ReturnState {
  /** The same for the same order, so that a repeated call to the bank is the same call. */
  sign(orderKey: string, sagaId: string): string;
  /** Shape: the saga that the state was signed for, or undefined when it was not signed for this order, or not by us. */
  verify(orderKey: string, state: string): string | undefined;
}

export function createReturnState(secret: string): ReturnState {
  const signatureOf = (orderKey: string, sagaId: string) =>
    createHmac('sha256', secret)
      .update(JSON.stringify(['3ds-return', orderKey, sagaId]))
      .digest();
  return {
    sign: (orderKey, sagaId) =>
      `${Buffer.from(sagaId).toString('base64url')}.${signatureOf(orderKey, sagaId).toString('base64url')}`,
    verify(orderKey, state) {
      const [id = '', signature = ''] = state.split('.');
      const sagaId = Buffer.from(id, 'base64url').toString('utf8');
      const given = Buffer.from(signature, 'base64url');
      const expected = signatureOf(orderKey, sagaId);
      return given.length === expected.length && timingSafeEqual(given, expected) ? sagaId : undefined;
    },
  };
}
