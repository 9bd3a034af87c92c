import type { Profile, ProfileSample } from './pprof.ts';

/**
 * Gives a heap profile the labels of a CPU profile of the same time.
 *
 * V8 remembers with what it samples of the heap the functions that were being called, and not whose work it was. Where the same
 * calls were seen at work by the CPU profile, what they allocated is shared out as their CPU time was: exact for functions
 * that only one kind of work calls, an estimate for those that several share. Calls that were never seen at work stay
 * without labels.
 */
export function shareHeap(heap: Profile, cpu: Profile): Profile {
  const root = treeOf(cpu.samples);
  return { ...heap, samples: heap.samples.flatMap((sample) => shared(sample, root)) };
}

interface Node {
  readonly below: Map<string, Node>;
  /** CPU by labels, of this call and everything below. */
  readonly cpu: Map<string, number>;
}

const newNode = (): Node => ({ below: new Map(), cpu: new Map() });
const keyOf = ({ name, file }: { readonly name: string; readonly file: string }) => `${name} ${file}`;

function treeOf(samples: readonly ProfileSample[]): Node {
  const root = newNode();
  for (const { stack, values, labels } of samples) {
    const cpu = values.at(-1) ?? 0;
    const key = JSON.stringify(labels);
    let node = root;
    for (const frame of stack.toReversed()) {
      const name = keyOf(frame);
      const next = node.below.get(name) ?? newNode();
      node.below.set(name, next);
      next.cpu.set(key, (next.cpu.get(key) ?? 0) + cpu);
      node = next;
    }
  }
  return root;
}

function shared(sample: ProfileSample, root: Node): ProfileSample[] {
  let node: Node | undefined;
  for (const frame of sample.stack.toReversed()) {
    const next: Node | undefined = (node ?? root).below.get(keyOf(frame));
    if (!next) break;
    node = next;
  }
  const shares = [...(node?.cpu ?? [])];
  const total = shares.reduce((sum, [, cpu]) => sum + cpu, 0);
  if (total === 0) return [sample];
  const left = [...sample.values];
  return shares.map(([key, cpu], index) => {
    const isLast = index === shares.length - 1;
    const values = sample.values.map((value, at) => {
      const part = isLast ? (left[at] ?? 0) : Math.round((value * cpu) / total);
      left[at] = (left[at] ?? 0) - part;
      return part;
    });
    return { ...sample, values, labels: JSON.parse(key) as Record<string, string> };
  });
}
