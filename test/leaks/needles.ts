import { randomBytes } from 'node:crypto';

/** What nobody may find: a name for it, and the value. */
export interface Needle {
  readonly what: string;
  readonly value: string;
}

const mark = () => randomBytes(5).toString('hex');

/** Of one customer and one operator; no two runs have the same, and none can be there by chance. */
export function createNeedles() {
  const email = `ada.${mark()}@leak-${mark()}.example`;
  return {
    email,
    otherEmail: `Bob.${mark()}@leak-${mark()}.example`,
    firstName: `Zaphira${mark()}`,
    cardCode: `CARD-${mark().toUpperCase()}`,
    cardNumber: '4111111111111111',
    pushToken: `push_${mark()}${mark()}`,
    adminToken: `admin-${mark()}${mark()}${mark()}${mark()}`,
    wrongToken: `wrong-${mark()}${mark()}${mark()}${mark()}`,
    signingSecret: `signing-${mark()}${mark()}${mark()}${mark()}`,
    databasePassword: `pa/ss+${mark()}=word`,
    idempotencyKey: `idem-${mark()}${mark()}`,
    cookie: `session-${mark()}${mark()}`,
    queryToken: `${mark()}${mark()}${mark()}`,
  };
}

/** One place where something is told: a log line, an attribute of a span, a column of a dead letter. */
export interface Told {
  readonly where: string;
  readonly text: string;
}

interface Spelling extends Needle {
  readonly spelling: string;
}

/** Shape: `email, in base64, in worker log: {"level":…`, one for each find. */
export function findLeaks(needles: readonly Needle[], told: Iterable<Told>): string[] {
  const spellings = needles.flatMap(spellingsOf);
  const found: string[] = [];
  for (const { where, text } of told) {
    const lower = text.toLowerCase();
    for (const { what, value, spelling } of spellings) {
      const at = lower.indexOf(value.toLowerCase());
      if (at >= 0)
        found.push(`${what}, ${spelling}, in ${where}: …${text.slice(Math.max(0, at - 80), at + 120)}…`);
    }
  }
  return found;
}

/** Raw, in a URL, in JSON inside JSON, in hex, and in base64 at each of the three places where it may begin. */
function spellingsOf({ what, value }: Needle): Spelling[] {
  const inBase64 = [0, 1, 2].flatMap((shift) => {
    const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(value)]);
    // Its first and last characters depend on what stands around it.
    const text = bytes
      .toString('base64')
      .replace(/=+$/, '')
      .slice(shift === 0 ? 0 : shift + 1, -2);
    return [text, text.replaceAll('+', '-').replaceAll('/', '_')];
  });
  const values: readonly (readonly [string, string])[] = [
    ['raw', value],
    ['URL-encoded', encodeURIComponent(value)],
    ['in hex', Buffer.from(value).toString('hex')],
    ...inBase64.map((text) => ['in base64', text] as const),
  ];
  return [...new Map(values.toReversed().map(([spelling, text]) => [text, spelling])).entries()].map(
    ([text, spelling]) => ({
      ...{ what, value: text, spelling },
    }),
  );
}
