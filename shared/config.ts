import { z } from 'zod';
import { ThroughlineError } from './errors.ts';

/**
 * The settings that come from the environment, read here and nowhere else.
 *
 * Libraries below take options; only main files call `readConfig()` and pass on what a part needs.
 */
export interface Config {
  /** `GOOGLE_CLOUD_PROJECT`, else `PUBSUB_PROJECT_ID`. Default `throughline-local` when an emulator is used. */
  readonly projectId: string | undefined;
  /** `PUBSUB_EMULATOR_HOST`, `host:port`. Unset: real Pub/Sub with application default credentials. */
  readonly pubsubEmulatorHost: string | undefined;
  /** `OTEL_EXPORTER_OTLP_ENDPOINT`, the base URL to which `/v1/traces` is added. Unset: nothing is exported. */
  readonly otlpEndpoint: string | undefined;
  /** `OTEL_METRICS_EXPORTER`: `none` sends no metrics there: it takes traces only (Jaeger), or Prometheus scrapes. Default `otlp`. */
  readonly pushesMetrics: boolean;
  /** `OTEL_EXPORTER_PROMETHEUS_PORT`: where Prometheus fetches metrics; 0: a free port. Unset: nowhere. */
  readonly prometheusPort: number | undefined;
  /** `OTEL_EXPORTER_PROMETHEUS_HOST`: the address it listens on. Default 127.0.0.1. */
  readonly prometheusHost: string;
  /** `OTEL_SERVICE_NAME`. Default: the name that the main file gives. */
  readonly serviceName: string | undefined;
  /** `LOG_LEVEL`: trace, debug, info, warn, error, fatal or silent. Default `info`. */
  readonly logLevel: LogLevel;
  /**
   * `THROUGHLINE_LOG_FORMAT`: `google` names fields as Google Cloud's logging does, `plain` as pino does. Default: `google`
   * when a project is named and Pub/Sub is the real one, else `plain`.
   */
  readonly logFormat: LogFormat;
  /** `DATABASE_URL`, `postgresql://user:password@host:port/database`. Unset: demo, `npm start` and tests start an embedded one. */
  readonly databaseUrl: string | undefined;
  /** `PARTNERS_URL`: where the partners' sandbox listens. */
  readonly partnersUrl: string | undefined;
  /** `PORT` of the order service; 0: a free one. Default 8080. */
  readonly port: number;
  /** `THROUGHLINE_HOST`: the address that the order service and the sandbox listen on. In a container 0.0.0.0. Default 127.0.0.1. */
  readonly host: string;
  /** `PUBLIC_URL`: under which customers' browsers reach the order service. Default: its own loopback address. */
  readonly publicUrl: string | undefined;
  /** `THROUGHLINE_SIGNING_SECRET`: signs 3-D Secure returns and links to unsubscribe; the same for every process. */
  readonly signingSecret: string | undefined;
  /** `THROUGHLINE_ADMIN_TOKEN`: what operators' HTTP requests bear. Unset: the admin API is closed. */
  readonly adminToken: string | undefined;
  /** `THROUGHLINE_ADMIN_PORT` of the admin API; 0: a free one. Default 8081. */
  readonly adminPort: number;
  /** `THROUGHLINE_PROFILE_FOLDER`: where SIGUSR2 writes profiles. Unset: it takes none. */
  readonly profileFolder: string | undefined;
  /** `THROUGHLINE_TRUST_TRACEPARENT=true`: callers' traces are continued; otherwise they are linked. Default false. */
  readonly trustTraceparent: boolean;
  /** `THROUGHLINE_3DS_TIMEOUT_MS`: how long a customer may take at the bank's page, in ms. Default 900_000. */
  readonly threeDSecureTimeoutMs: number;
  /** `THROUGHLINE_LEASE_MS`: how soon another process takes over what a dead one had in hand, in ms. Default 15_000. */
  readonly leaseMs: number;
  /** `THROUGHLINE_RESEND_AFTER_MS`: after this a job that nothing finished is sent again, in ms. Default 120_000. */
  readonly resendAfterMs: number;
  /** `THROUGHLINE_RELAY`: `embedded` runs an outbox relay in this process, `off` leaves it to others. Default `embedded`. */
  readonly relay: 'embedded' | 'off';
  /** `THROUGHLINE_ACK_DEADLINE_MS`: how soon Pub/Sub redelivers when a worker dies, in ms. Default 30_000. */
  readonly ackDeadlineMs: number;
  /** `THROUGHLINE_DRAIN_MS`: how long running jobs may go on after SIGTERM, in ms. Default 25_000. */
  readonly drainMs: number;
  /** `OTEL_BSP_SCHEDULE_DELAY`: longest wait before ended spans are exported, in ms. Default 1_000. */
  readonly spanDelayMs: number;
  /** `THROUGHLINE_SPANS`: `before-commit` exports spans before what they tell of becomes final. Default `buffered`. */
  readonly spans: 'buffered' | 'before-commit';
  /**
   * `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`: the share of orders whose spans are kept whatever becomes of them,
   * 0 to 1. `[parentbased_]traceidratio` takes it from the argument (the coin is the order's, though); `…always_off` is 0.
   * Default `parentbased_always_on`, which is 1.
   */
  readonly keptShare: number;
  /** `THROUGHLINE_SLOW_MS`: work that took as long is kept although its order is not, in ms. Default 2_000. */
  readonly slowMs: number;
  /** `PATH`, `CLOUDSDK_ROOT_DIR` and `JAVA_HOME`: where Google's emulator and Java are looked for. */
  readonly searchPath: string;
  readonly cloudSdkRoot: string | undefined;
  readonly javaHome: string | undefined;
  /** `NODE_EXTRA_CA_CERTS`: the file of further certificates that Node trusts; for children that reach a registry. */
  readonly extraCaCerts: string | undefined;
  /** `NO_COLOR` is set (to anything): colours are off even on a terminal. */
  readonly noColor: boolean;
  /** `CI` is set: what would be a skip on a newcomer's machine is a failure here. */
  readonly ci: boolean;
}

export type LogLevel = z.infer<typeof logLevel>;
export type LogFormat = z.infer<typeof logFormat>;

const logFormat = z.enum(['google', 'plain']);
const logLevel = z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']);
const hostAndPort = z.string().refine(isHostAndPort, 'expected host:port, for example 127.0.0.1:8085');
const httpUrl = z.url({ protocol: /^https?$/, error: 'expected an http:// or https:// address' });

const postgresUrl = z.url({
  protocol: /^postgres(ql)?$/,
  error: 'expected postgresql://user:password@host:port/database',
});

const environment = z.object({
  GOOGLE_CLOUD_PROJECT: z.string().optional(),
  PUBSUB_PROJECT_ID: z.string().optional(),
  PUBSUB_EMULATOR_HOST: hostAndPort.optional(),
  OTEL_EXPORTER_OTLP_ENDPOINT: httpUrl.optional(),
  OTEL_METRICS_EXPORTER: z.enum(['otlp', 'none']).default('otlp'),
  OTEL_EXPORTER_PROMETHEUS_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  OTEL_EXPORTER_PROMETHEUS_HOST: z.string().default('127.0.0.1'),
  OTEL_SERVICE_NAME: z.string().optional(),
  LOG_LEVEL: logLevel.default('info'),
  THROUGHLINE_LOG_FORMAT: logFormat.optional(),
  DATABASE_URL: postgresUrl.optional(),
  PARTNERS_URL: httpUrl.optional(),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  THROUGHLINE_HOST: z.string().default('127.0.0.1'),
  PUBLIC_URL: httpUrl.optional(),
  THROUGHLINE_SIGNING_SECRET: z.string().min(32, 'expected at least 32 characters').optional(),
  THROUGHLINE_ADMIN_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]{32,}$/, 'expected at least 32 characters, without spaces')
    .optional(),
  THROUGHLINE_ADMIN_PORT: z.coerce.number().int().min(0).max(65_535).default(8081),
  THROUGHLINE_PROFILE_FOLDER: z.string().optional(),
  THROUGHLINE_TRUST_TRACEPARENT: z.enum(['true', 'false']).default('false'),
  THROUGHLINE_3DS_TIMEOUT_MS: z.coerce.number().int().min(100).default(900_000),
  THROUGHLINE_LEASE_MS: z.coerce.number().int().min(1_000).default(15_000),
  THROUGHLINE_RESEND_AFTER_MS: z.coerce.number().int().min(1_000).default(120_000),
  THROUGHLINE_RELAY: z.enum(['embedded', 'off']).default('embedded'),
  THROUGHLINE_ACK_DEADLINE_MS: z.coerce.number().int().min(10_000).max(600_000).default(30_000),
  THROUGHLINE_DRAIN_MS: z.coerce.number().int().min(0).max(3_600_000).default(25_000),
  OTEL_BSP_SCHEDULE_DELAY: z.coerce.number().int().min(1).default(1_000),
  THROUGHLINE_SPANS: z.enum(['buffered', 'before-commit']).default('buffered'),
  OTEL_TRACES_SAMPLER: z
    .enum([
      'always_on',
      'always_off',
      'traceidratio',
      'parentbased_always_on',
      'parentbased_always_off',
      'parentbased_traceidratio',
    ])
    .default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number('expected a share from 0 to 1').min(0).max(1).default(1),
  THROUGHLINE_SLOW_MS: z.coerce.number().int().min(1).default(2_000),
  PATH: z.string().default(''),
  CLOUDSDK_ROOT_DIR: z.string().optional(),
  JAVA_HOME: z.string().optional(),
  NODE_EXTRA_CA_CERTS: z.string().optional(),
  NO_COLOR: z.string().optional(),
  CI: z.string().optional(),
});

/** Every variable that counts. */
export const SETTING_NAMES: readonly string[] = Object.keys(environment.shape);

function keptShare(sampler: string, share: number): number {
  if (sampler.endsWith('ratio')) return share;
  return sampler.endsWith('always_on') ? 1 : 0;
}

function isOnGoogleCloud(e: z.output<typeof environment>): boolean {
  return (
    (e.GOOGLE_CLOUD_PROJECT ?? e.PUBSUB_PROJECT_ID) !== undefined && e.PUBSUB_EMULATOR_HOST === undefined
  );
}

/** What of a configuration nobody may be told: logs and spans are searched for it. */
export function secretsOf({ signingSecret, adminToken, databaseUrl, ...urls }: Config): string[] {
  const passwords = [databaseUrl, urls.partnersUrl, urls.otlpEndpoint].map((url) => passwordOf(url));
  return [signingSecret, adminToken, ...passwords].filter((secret) => secret !== undefined);
}

function passwordOf(url: string | undefined): string | undefined {
  const password = url === undefined ? '' : new URL(url).password;
  return password === '' ? undefined : decodedPassword(password);
}

/** A password with a lone % is not encoded, and `pg` takes it as it is. */
function decodedPassword(password: string): string {
  try {
    return decodeURIComponent(password);
  } catch {
    return password;
  }
}

function isHostAndPort(text: string): boolean {
  const [, port] = /^[^\s/:]+:(\d{1,5})$/.exec(text) ?? [];
  return port !== undefined && Number(port) <= 65_535;
}

/** Thrown at start with every wrong setting in one message. */
export class ConfigError extends ThroughlineError {
  override readonly name = 'ConfigError';
  readonly code = 'CONFIG_INVALID';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `the configuration has ${problems.length} problem(s):\n${problems.map((p) => `  ${p}`).join('\n')}`,
    );
    this.problems = problems;
  }
}

/**
 * Reads and checks the environment. An empty variable counts as unset.
 *
 * Errors: ConfigError, which lists every wrong variable with what was expected.
 */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(present);
  if (!parsed.success) {
    throw new ConfigError(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`));
  }
  const e = parsed.data;
  return {
    projectId:
      e.GOOGLE_CLOUD_PROJECT ??
      e.PUBSUB_PROJECT_ID ??
      (e.PUBSUB_EMULATOR_HOST ? 'throughline-local' : undefined),
    pubsubEmulatorHost: e.PUBSUB_EMULATOR_HOST,
    otlpEndpoint: e.OTEL_EXPORTER_OTLP_ENDPOINT,
    pushesMetrics: e.OTEL_METRICS_EXPORTER === 'otlp',
    prometheusPort: e.OTEL_EXPORTER_PROMETHEUS_PORT,
    prometheusHost: e.OTEL_EXPORTER_PROMETHEUS_HOST,
    serviceName: e.OTEL_SERVICE_NAME,
    logLevel: e.LOG_LEVEL,
    logFormat: e.THROUGHLINE_LOG_FORMAT ?? (isOnGoogleCloud(e) ? 'google' : 'plain'),
    databaseUrl: e.DATABASE_URL,
    partnersUrl: e.PARTNERS_URL,
    port: e.PORT,
    host: e.THROUGHLINE_HOST,
    publicUrl: e.PUBLIC_URL,
    signingSecret: e.THROUGHLINE_SIGNING_SECRET,
    adminToken: e.THROUGHLINE_ADMIN_TOKEN,
    adminPort: e.THROUGHLINE_ADMIN_PORT,
    profileFolder: e.THROUGHLINE_PROFILE_FOLDER,
    trustTraceparent: e.THROUGHLINE_TRUST_TRACEPARENT === 'true',
    threeDSecureTimeoutMs: e.THROUGHLINE_3DS_TIMEOUT_MS,
    leaseMs: e.THROUGHLINE_LEASE_MS,
    resendAfterMs: e.THROUGHLINE_RESEND_AFTER_MS,
    relay: e.THROUGHLINE_RELAY,
    ackDeadlineMs: e.THROUGHLINE_ACK_DEADLINE_MS,
    drainMs: e.THROUGHLINE_DRAIN_MS,
    spanDelayMs: e.OTEL_BSP_SCHEDULE_DELAY,
    spans: e.THROUGHLINE_SPANS,
    keptShare: keptShare(e.OTEL_TRACES_SAMPLER, e.OTEL_TRACES_SAMPLER_ARG),
    slowMs: e.THROUGHLINE_SLOW_MS,
    searchPath: e.PATH,
    cloudSdkRoot: e.CLOUDSDK_ROOT_DIR,
    javaHome: e.JAVA_HOME,
    extraCaCerts: e.NODE_EXTRA_CA_CERTS,
    noColor: e.NO_COLOR !== undefined,
    ci: e.CI !== undefined,
  };
}
