/** What a partner answered. */
export interface PartnerAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers: Headers;
}

/** Asks the sandbox as any HTTP client would: `effect` is for instance `card/redeem`. Errors: those of `fetch`. */
export async function askPartner(
  url: string,
  effect: string,
  idempotencyKey: string | undefined,
  body: unknown,
): Promise<PartnerAnswer> {
  const response = await fetch(`${url}/v1/${effect}`, {
    method: 'POST',
    headers: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const { status, headers } = response;
  return { status, headers, body: (await response.json()) as Record<string, unknown> };
}
