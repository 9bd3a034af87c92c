import protobuf from 'protobufjs/light.js';
import { message } from '../shared/protobuf-message.ts';

/**
 * The OTLP messages that the receiver reads and writes, as a protobufjs descriptor.
 *
 * Only what we use is declared; protobuf skips unknown fields, so newer senders are understood.
 * Source: opentelemetry-proto 1.x (collector/trace/v1, trace/v1, common/v1, resource/v1), google/rpc/status.proto.
 */
const root = protobuf.Root.fromJSON({
  nested: {
    ExportTraceServiceRequest: message({ resourceSpans: [1, 'ResourceSpans', 'repeated'] }),
    ExportTraceServiceResponse: message({ partialSuccess: [1, 'ExportTracePartialSuccess'] }),
    ExportTracePartialSuccess: message({ rejectedSpans: [1, 'int64'], errorMessage: [2, 'string'] }),
    Status: message({ code: [1, 'int32'], message: [2, 'string'] }),
    ResourceSpans: message({ resource: [1, 'Resource'], scopeSpans: [2, 'ScopeSpans', 'repeated'] }),
    Resource: message({ attributes: [1, 'KeyValue', 'repeated'] }),
    ScopeSpans: message({ scope: [1, 'Scope'], spans: [2, 'Span', 'repeated'] }),
    Scope: message({ name: [1, 'string'], version: [2, 'string'] }),
    Span: message({
      traceId: [1, 'bytes'],
      spanId: [2, 'bytes'],
      traceState: [3, 'string'],
      parentSpanId: [4, 'bytes'],
      name: [5, 'string'],
      kind: [6, 'int32'],
      startTimeUnixNano: [7, 'fixed64'],
      endTimeUnixNano: [8, 'fixed64'],
      attributes: [9, 'KeyValue', 'repeated'],
      events: [11, 'Event', 'repeated'],
      links: [13, 'Link', 'repeated'],
      status: [15, 'SpanStatus'],
      flags: [16, 'fixed32'],
    }),
    Event: message({
      timeUnixNano: [1, 'fixed64'],
      name: [2, 'string'],
      attributes: [3, 'KeyValue', 'repeated'],
    }),
    Link: message({
      traceId: [1, 'bytes'],
      spanId: [2, 'bytes'],
      traceState: [3, 'string'],
      attributes: [4, 'KeyValue', 'repeated'],
      flags: [6, 'fixed32'],
    }),
    SpanStatus: message({ message: [2, 'string'], code: [3, 'int32'] }),
    KeyValue: message({ key: [1, 'string'], value: [2, 'AnyValue'] }),
    AnyValue: {
      oneofs: {
        value: {
          oneof: [
            'stringValue',
            'boolValue',
            'intValue',
            'doubleValue',
            'arrayValue',
            'kvlistValue',
            'bytesValue',
          ],
        },
      },
      ...message({
        stringValue: [1, 'string'],
        boolValue: [2, 'bool'],
        intValue: [3, 'int64'],
        doubleValue: [4, 'double'],
        arrayValue: [5, 'ArrayValue'],
        kvlistValue: [6, 'KeyValueList'],
        bytesValue: [7, 'bytes'],
      }),
    },
    ArrayValue: message({ values: [1, 'AnyValue', 'repeated'] }),
    KeyValueList: message({ values: [1, 'KeyValue', 'repeated'] }),
  },
});

export const ExportTraceServiceRequest = root.lookupType('ExportTraceServiceRequest');
export const ExportTraceServiceResponse = root.lookupType('ExportTraceServiceResponse');
export const RpcStatus = root.lookupType('Status');
