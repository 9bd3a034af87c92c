import protobuf from 'protobufjs/light.js';
import { message } from '../protobuf-message.ts';

/**
 * The messages of a pprof file, as a protobufjs descriptor. Fields that we neither write nor read are left out.
 *
 * Source: github.com/google/pprof, proto/profile.proto.
 */
const root = protobuf.Root.fromJSON({
  nested: {
    Profile: message({
      sampleType: [1, 'ValueType', 'repeated'],
      sample: [2, 'Sample', 'repeated'],
      location: [4, 'Location', 'repeated'],
      function: [5, 'Function', 'repeated'],
      stringTable: [6, 'string', 'repeated'],
      timeNanos: [9, 'int64'],
      durationNanos: [10, 'int64'],
      periodType: [11, 'ValueType'],
      period: [12, 'int64'],
      comment: [13, 'int64', 'repeated'],
      defaultSampleType: [14, 'int64'],
    }),
    ValueType: message({ type: [1, 'int64'], unit: [2, 'int64'] }),
    Sample: message({
      locationId: [1, 'uint64', 'repeated'],
      value: [2, 'int64', 'repeated'],
      label: [3, 'Label', 'repeated'],
    }),
    Label: message({ key: [1, 'int64'], str: [2, 'int64'] }),
    Location: message({ id: [1, 'uint64'], line: [4, 'Line', 'repeated'] }),
    Line: message({ functionId: [1, 'uint64'], line: [2, 'int64'] }),
    Function: message({
      id: [1, 'uint64'],
      name: [2, 'int64'],
      systemName: [3, 'int64'],
      filename: [4, 'int64'],
    }),
  },
});

export const ProfileMessage = root.lookupType('Profile');

/** As it is on the wire: texts are places in `stringTable`. */
export interface WireProfile {
  sampleType: { type: number; unit: number }[];
  sample: { locationId: number[]; value: number[]; label: { key: number; str: number }[] }[];
  location: { id: number; line: { functionId: number; line: number }[] }[];
  function: { id: number; name: number; systemName?: number; filename: number }[];
  stringTable: string[];
  timeNanos: number;
  durationNanos: number;
  periodType?: { type: number; unit: number } | null;
  period: number;
  comment: number[];
  defaultSampleType?: number;
}
