/**
 * Fields whose values are personal data or secrets, wherever they stand: in log lines and on spans they are replaced by
 * `[redacted]`. The one list; `createLogger({ redact })` adds a user's own paths to it.
 */
export const SENSITIVE_FIELDS: readonly string[] = [
  // who somebody is, and where he is reached
  ...[
    'email',
    'emailAddress',
    'email_address',
    'address_key',
    'firstName',
    'first_name',
    'lastName',
    'last_name',
  ],
  ...[
    'fullName',
    'full_name',
    'phone',
    'phoneNumber',
    'phone_number',
    'birthDate',
    'birth_date',
    'postalAddress',
  ],
  ...['pushToken', 'push_token'],
  // with what he pays
  ...['cardCode', 'card_code', 'cardKey', 'card_key', 'cardNumber', 'card_number', 'cardToken', 'card_token'],
  ...['pan', 'cvc', 'cvv', 'iban'],
  // what opens doors
  ...['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key', 'apiKey', 'api_key'],
  ...['password', 'passwd', 'secret', 'signingSecret', 'token', 'adminToken', 'accessToken', 'access_token'],
  ...['refreshToken', 'refresh_token', 'idToken', 'id_token', 'sessionId', 'session_id', 'credentials'],
  ...['connectionString', 'databaseUrl', 'DATABASE_URL', 'unsubscribeUrl', 'challengeUrl', 'returnUrl'],
  // what holds any of it
  ...['payload', 'payloadText', 'payloadBase64', 'body', 'rawBody', 'parameters'],
];

/** Below a recipient only: the address of a server is no secret. */
const RECIPIENT_ADDRESSES = ['recipient.address', 'unsubscription.address'];

/** How deep in a line's fields names are looked for. */
const DEPTHS = ['', '*.', '*.*.', '*.*.*.'];

/** The list as paths of pino's `redact`. */
export function sensitivePaths(more: readonly string[] = []): string[] {
  const everywhere = SENSITIVE_FIELDS.flatMap((name) => DEPTHS.map((depth) => pathOf(depth, name)));
  return [...new Set([...everywhere, ...RECIPIENT_ADDRESSES, ...more])];
}

function pathOf(depth: string, name: string): string {
  return /^\w+$/.test(name) ? `${depth}${name}` : `${depth.slice(0, -1)}["${name}"]`;
}

const NAMES = new Set(SENSITIVE_FIELDS.map((name) => name.toLowerCase()));

const known = new Map<string, boolean>();
const MAX_KNOWN = 10_000;

/** Whether the last part of an attribute's name is on the list: `customer.email`, `http.request.header.authorization`. */
export function isSensitive(attribute: string): boolean {
  const before = known.get(attribute);
  if (before !== undefined) return before;
  const answer = NAMES.has(attribute.slice(attribute.lastIndexOf('.') + 1).toLowerCase());
  if (known.size < MAX_KNOWN) known.set(attribute, answer); // a span has ten of them, and there are thousands of spans
  return answer;
}
