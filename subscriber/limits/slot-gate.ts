import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import type { Logger } from '../../shared/log.ts';
import type { Database } from '../../shared/storage/database.ts';
import { GroupCommit } from '../../shared/storage/group-commit.ts';
import { UnknownLimitError } from './errors.ts';
import { Invited } from './invited.ts';
import {
  type DeclaredLimit,
  declareLimits,
  removeSlots,
  type SlotAnswer,
  type SlotKey,
  type SlotRequest,
  takeSlots,
} from './slot-rows.ts';
import { type WaitingDelivery, WaitingLine } from './waiting-line.ts';

/** Where workers listen for slots that became free, and for limits that were changed. */
export const LIMIT_CHANNEL = 'throughline_limit';

/** Lets so many jobs run at once. */
export interface SlotGate {
  waiting(limit: string): number;
  /** Undefined: the job has its slots. Otherwise which one it has to wait for. Errors: DatabaseUnavailableError. */
  enter(request: SlotRequest & { readonly worker: string }): Promise<SlotAnswer>;
  /** Errors: none; a slot that could not be given back ends with its job's claim. */
  leave(request: SlotRequest): Promise<void>;
  /** Calls the delivery back when there is a slot for it. */
  wait(slot: SlotKey, consumer: string, delivery: WaitingDelivery): void;
  /** Looks for free slots. */
  trigger(): void;
  stop(): Promise<void>;
}

/** So long a slot is kept for a delivery that was called back, to this worker or another one, in ms. */
const KEPT_MS = 10_000;
/** So many deliveries are called back for one limit and key before it is asked for more slots. */
const AT_ONCE = 20;

interface Line extends WaitingLine {
  readonly slot: SlotKey;
  readonly consumer: string;
}

export function createSlotGate(
  database: Database,
  declared: readonly DeclaredLimit[],
  logger: Logger | undefined,
): SlotGate {
  const lines = new Map<string, Line>();
  const invited = new Invited(KEPT_MS);
  let isDeclared = false;
  let isStopped = false;
  let isWanted = false;
  let calling: Promise<void> | undefined;

  const takes = new GroupCommit<SlotRequest, SlotAnswer>({
    async commit(requests) {
      if (!isDeclared) await declareLimits(database, declared);
      isDeclared = true;
      const answers = await database.transaction((tx) => takeSlots(tx, requests, KEPT_MS));
      if (answers) return answers;
      isDeclared = false; // somebody deleted a limit: it is declared again when the jobs come back
      throw new UnknownLimitError(declared.map(({ name }) => name).join(', '));
    },
  });
  const leaves = new GroupCommit<SlotRequest, void>({
    async commit(requests) {
      const [first] = requests;
      await removeSlots(database, requests, first?.worker);
      database.notify(LIMIT_CHANNEL);
      return requests.map(() => undefined);
    },
  });

  /** Keeps slots for those that are first in line, and calls them. */
  const callBack = async (id: string, line: Line) => {
    for (let granted = AT_ONCE; granted === AT_ONCE && !isStopped; ) {
      const first = line.first(AT_ONCE);
      if (first.length === 0) lines.delete(id);
      const { slot, consumer } = line;
      const ask = ({ jobId }: WaitingDelivery) =>
        takes.add({ consumer, jobId, wanted: [slot], worker: undefined });
      const answers = await Promise.all(first.map(ask));
      const free = first.filter((delivery, index) => !answers[index] && line.remove(delivery));
      for (const { jobId, resume } of free) {
        invited.add(jobId);
        resume();
      }
      granted = free.length;
    }
  };
  const callAll = async () => {
    while (isWanted && !isStopped) {
      isWanted = false;
      await Promise.all([...lines].map(([id, line]) => callBack(id, line)));
    }
  };
  const trigger = () => {
    if (lines.size === 0 || isStopped) return;
    isWanted = true;
    calling ??= context
      .with(ROOT_CONTEXT, callAll)
      .catch((error) => logger?.warn({ err: error }, 'free slots could not be looked for'))
      .then(() => {
        calling = undefined;
      });
  };

  const hasLine = (slot: SlotKey) => (lines.get(idOf(slot))?.size ?? 0) > 0;

  return {
    waiting: (limit) =>
      [...lines.values()].reduce((sum, { slot, size }) => sum + (slot.limit === limit ? size : 0), 0),
    async enter(request) {
      if (invited.remove(request.jobId)) return takes.add(request);
      const wanted = request.wanted.map((slot) => ({ ...slot, isBehind: hasLine(slot) }));
      return takes.add({ ...request, wanted });
    },
    leave: (request) =>
      leaves
        .add(request)
        .catch((error) =>
          logger?.warn({ err: error, jobId: request.jobId }, 'a slot could not be given back'),
        ),
    wait(slot, consumer, delivery) {
      const id = idOf(slot);
      const line = lines.get(id) ?? Object.assign(new WaitingLine(), { slot, consumer });
      lines.set(id, line);
      line.add(delivery);
      setImmediate(trigger); // a slot may have become free since; not before the delivery was handed back
    },
    trigger,
    async stop() {
      isStopped = true;
      for (const line of lines.values()) for (const { resume } of line.first(line.size)) resume();
      invited.clear();
      await calling;
      await Promise.all([takes.drained(), leaves.drained()]);
    },
  };
}

function idOf({ limit, key }: SlotKey): string {
  return `${limit}\0${key}`;
}
