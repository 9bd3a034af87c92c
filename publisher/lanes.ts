import type { MessageSink, OutgoingMessage } from '../shared/pubsub/message-sink.ts';
import { Batcher, type BatchingOptions } from './batcher.ts';

export interface Lanes {
  add(topic: string, message: OutgoingMessage): Promise<string>;
  /** Lets a topic's ordering key go on after a failure. */
  resume(topic: string, orderingKey: string): void;
  drained(): Promise<void>;
}

/** A batcher for each topic, and for each ordering key in use; those of keys are dropped when they are idle. */
export function createLanes(sink: MessageSink, options: BatchingOptions | undefined): Lanes {
  const lanes = new Map<string, Batcher>();

  const laneFor = (topic: string, orderingKey: string): Batcher => {
    const name = `${topic}\n${orderingKey}`;
    const existing = lanes.get(name);
    if (existing) return existing;
    const lane = new Batcher(sink, topic, orderingKey !== '', options);
    lanes.set(name, lane);
    if (orderingKey !== '') void forgetWhenIdle(name, lane);
    return lane;
  };

  const forgetWhenIdle = async (name: string, lane: Batcher) => {
    // One turn later, so that the message for which the lane was made is in it.
    await Promise.resolve();
    await lane.drained();
    if (lane.isPaused) return; // kept until it is resumed
    if (lane.isIdle) lanes.delete(name);
    else void forgetWhenIdle(name, lane);
  };

  return {
    resume(topic, orderingKey) {
      const name = `${topic}\n${orderingKey}`;
      const lane = lanes.get(name);
      if (!lane?.isPaused) return;
      lane.resume();
      void forgetWhenIdle(name, lane);
    },
    add: (topic, message) => laneFor(topic, message.orderingKey ?? '').add(message),
    async drained() {
      while (lanes.size > 0) {
        await Promise.all([...lanes.values()].map((lane) => lane.drained()));
        if ([...lanes.values()].every((lane) => lane.isIdle)) return;
      }
    },
  };
}
