import type {
  handleUnaryCall,
  ServerUnaryCall,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { toStatusError, unsupported } from './status.ts';

/** Turns a function that returns or throws into a gRPC handler. */
export function unary<Request, Response>(
  answer: (request: Request, call: ServerUnaryCall<Request, Response>) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return async (call, callback) => {
    try {
      callback(null, await answer(call.request, call));
    } catch (error) {
      callback(toStatusError(error));
    }
  };
}

/** Adds, for each method that has no handler, one that names what was asked for and refuses it. */
export function refuseTheRest(
  definition: ServiceDefinition,
  handlers: UntypedServiceImplementation,
): UntypedServiceImplementation {
  const complete = { ...handlers };
  for (const method of Object.keys(definition)) {
    complete[method] ??= unary(() => {
      throw unsupported(method);
    });
  }
  return complete;
}

/** A method with whatever request and response: grpc-js itself has no narrower type for a service's methods. */
export type Method = ServiceDefinition[string];

const asBytes = (bytes: Buffer): Buffer => bytes;

/** The method with undecoded requests, for handlers that read the bytes themselves. */
export function withRawRequest(method: Method): Method {
  return { ...method, requestDeserialize: asBytes };
}

/** The method with responses that are encoded already. */
export function withRawResponse(method: Method): Method {
  return { ...method, responseSerialize: asBytes };
}
