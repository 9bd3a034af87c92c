import type { SpanReceiver } from '../sagas/span-receiver.ts';
import { addCustomers, freeze, start, until } from './campaign-run.ts';
import { type House, openHouse, type Usage } from './house.ts';
import type { Stage } from './stage.ts';

/** What sending one campaign took. */
export interface SendingRun {
  readonly recipients: number;
  readonly frozenPerSecond: number;
  readonly recipientsPerSecond: number;
  /** By part. */
  readonly cpuMsPer1000: Readonly<Record<string, number>>;
  readonly peakMib: Readonly<Record<string, number>>;
  readonly ledgerBytesPerRecipient: number;
  readonly databaseBytesPerRecipient: number;
  readonly spansPerRecipient: number;
}

const CAMPAIGN = 'autumn-terms';

/** Errors: when somebody was sent to twice, or not at all. */
export async function sendTo(stage: Stage, recipients: number): Promise<SendingRun> {
  const { databases, receiver, size, onProgress } = stage;
  const name = `campaign_${recipients}`;
  const house = await openHouse({
    ...{ databases, name, workers: size.workers },
    otlpEndpoint: receiver.endpointOf(name),
  });
  try {
    await addCustomers(house.database, recipients);
    await house.database.query('CHECKPOINT');
    const emptyBytes = await databaseBytes(house);
    const freezeSeconds = await freeze(house.database, CAMPAIGN, recipients);
    onProgress(`${recipients} recipients: frozen in ${freezeSeconds.toFixed(1)} s`);
    const before = house.usage();
    const { startedAt } = await start(house.database, CAMPAIGN).then(() =>
      until(house.database, CAMPAIGN, (view) => view.startedAt !== undefined),
    );
    let toldMs = performance.now();
    const end = await until(
      house.database,
      CAMPAIGN,
      ({ endedAt }) => endedAt !== undefined,
      ({ recipients: { sent }, perSecond }) => {
        if (performance.now() - toldMs < 10_000) return;
        toldMs = performance.now();
        onProgress(`  ${sent} sent, ${perSecond?.toFixed(0)} a second`);
      },
    );
    const usage = house.usage();
    const { effects, calls, lastEffectAt } = await house.sandbox.summary(CAMPAIGN);
    if (effects !== recipients || calls !== recipients || end.recipients.sent !== recipients || !end.addsUp)
      throw new Error(
        `${recipients} recipients: ${calls} calls, ${effects} effects, ${JSON.stringify(end.recipients)}`,
      );
    const seconds = (Date.parse(lastEffectAt ?? '') - Date.parse(startedAt ?? '')) / 1_000;
    const each = <T>(of: (used: Usage, part: string) => T) =>
      Object.fromEntries(Object.entries(usage).map(([part, used]) => [part, of(used, part)]));
    return {
      recipients,
      frozenPerSecond: recipients / freezeSeconds,
      recipientsPerSecond: recipients / seconds,
      cpuMsPer1000: each(({ cpuMs }, part) => ((cpuMs - (before[part]?.cpuMs ?? 0)) * 1_000) / recipients),
      peakMib: each(({ peakMib }) => peakMib),
      ledgerBytesPerRecipient: (await ledgerBytes(house)) / recipients,
      databaseBytesPerRecipient: ((await databaseBytes(house)) - emptyBytes) / recipients,
      spansPerRecipient: await spansPerRecipient(receiver, name, recipients),
    };
  } finally {
    await house.close();
  }
}

async function databaseBytes({ database }: House): Promise<number> {
  const { rows } = await database.query<{ bytes: string }>(
    'SELECT pg_database_size(current_database()) AS bytes',
  );
  return Number(rows[0]?.bytes);
}

/** With its indexes, and what its updates have left behind. */
async function ledgerBytes({ database }: House): Promise<number> {
  const { rows } = await database.query<{ bytes: string }>(
    "SELECT pg_total_relation_size('throughline.campaign_recipient') AS bytes",
  );
  return Number(rows[0]?.bytes);
}

async function spansPerRecipient(receiver: SpanReceiver, name: string, recipients: number): Promise<number> {
  return (await receiver.count(name)) / recipients;
}
