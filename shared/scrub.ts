/**
 * Takes personal data and secrets out of free text: messages of errors, stacks, addresses with a query. Fields that are
 * known by name are redacted whole (sensitive-fields.ts); this is for what names do not reach.
 *
 * Known by their form are e-mail addresses, credentials in URLs and headers, tokens and signatures in queries, JSON web
 * tokens, card numbers, and what JSON.parse and PostgreSQL quote of what they refused. Anything else is known only to
 * whoever gives it as a secret: `secrets` are taken out wherever they occur, also URL-encoded and in base64.
 */
export type Scrub = (text: string) => string;

export interface ScrubOptions {
  /** This process's own: its tokens, its database's password. Shorter than 8 characters they are no secrets, and ignored. */
  readonly secrets?: readonly string[];
}

export const REDACTED = '[redacted]';

const MIN_SECRET_CHARS = 8;

/** Shape: text → the same text, or a copy without what must not be told. Errors: none. */
export function createScrub({ secrets = [] }: ScrubOptions = {}): Scrub {
  const known = secrets.filter((secret) => secret.length >= MIN_SECRET_CHARS).flatMap(spellings);
  return (text) => {
    let clean = text;
    for (const secret of known) if (clean.includes(secret)) clean = clean.replaceAll(secret, REDACTED);
    if (!SUSPICIOUS.test(clean)) return clean;
    for (const [pattern, replacement] of RULES) clean = clean.replace(pattern, replacement);
    return clean.includes(' ') ? clean.replace(CARD_NUMBER, (digits) => cardNumber(digits)) : clean;
  };
}

/** By form alone, for where no secrets are known. */
export const scrub = createScrub();

/** As it is, as it stands in a URL, and in base64. */
export function spellings(secret: string): string[] {
  const encoded = encodeURIComponent(secret);
  const base64 = Buffer.from(secret).toString('base64').replace(/=+$/, '');
  return [...new Set([secret, encoded, base64])];
}

/** Most texts have nothing of this, and cost one look. */
const SUSPICIOUS =
  /[@=]|%40|earer |asic |eyJ|valid JSON|input (?:syntax|value)|row contains|\d[ -]?\d{3}[ -]?\d{4}/i;

/** Runs of characters are bounded: a hostile text of megabytes costs no more than its length. */
const RULES: readonly (readonly [RegExp, string])[] = [
  [/(?<=:\/\/)[^\s/?#@"'<>]{1,512}@/g, `${REDACTED}@`],
  [
    /[\p{L}\p{N}._%+'-]{1,64}(?:@|%40)(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,62})\.){1,8}[\p{L}][\p{L}\p{N}-]{1,62}/gu,
    REDACTED,
  ],
  [
    /(?<![\p{L}\p{N}])((?:[\w.]{1,32}[_-])?(?:token|secret|password|passwd|pwd|api[_-]?key|access[_-]?key|signature|sig))(=|%3D)[^&\s"'#]{1,4096}/giu,
    `$1$2${REDACTED}`,
  ],
  [/(?<![\p{L}\p{N}])(state|code)(=|%3D)[\w.~%-]{20,4096}/giu, `$1$2${REDACTED}`],
  [/\b(bearer|basic)\s{1,8}[\w.~+/=-]{8,4096}/gi, `$1 ${REDACTED}`],
  [/\beyJ[\w-]{8,4096}\.[\w-]{8,4096}\.[\w-]{0,4096}/g, REDACTED],
  // V8 quotes the text around the fault, and a short text whole.
  [/(?:\.{3})?"[\s\S]{0,64}?"(?:\.{3})? is not valid JSON/g, `${REDACTED} is not valid JSON`],
  [
    /(invalid input (?:syntax for type|value for enum) [\w ."[\]]{1,128}?: )"[\s\S]{0,4096}"/g,
    `$1"${REDACTED}"`,
  ],
  [/(Key \([^)]{1,256}\)=)\([\s\S]{0,4096}?\)(?= (?:already|is not|is still|conflicts))/g, `$1(${REDACTED})`],
  [/(row contains )\([\s\S]*/, `$1(${REDACTED})`],
];

/** 13 to 19 digits that begin as those of a card do. Only in sentences: ids of messages are as long. */
const CARD_NUMBER = /(?<![\w.-])(?:[3-6]|2[2-7])\d?(?:[ -]?\d){11,17}(?![\w-])/g;

function cardNumber(digits: string): string {
  const plain = digits.replace(/\D/g, '');
  return plain.length >= 13 && plain.length <= 19 && passesLuhn(plain) ? REDACTED : digits;
}

/** Source: ISO/IEC 7812-1, the check digit. */
function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let at = 0; at < digits.length; at++) {
    const digit = Number(digits[digits.length - 1 - at]);
    const weighed = at % 2 === 1 ? digit * 2 : digit;
    sum += weighed > 9 ? weighed - 9 : weighed;
  }
  return sum % 10 === 0;
}
