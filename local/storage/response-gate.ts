import type { Server, ServerResponse } from 'node:http';

/** Runs `commit` before any byte of any response of the server leaves. Where it throws, the connection is cut instead. */
export function gateResponses(server: Server, commit: () => void): void {
  server.prependListener('request', (_request, response) => gateResponse(response, commit));
}

function gateResponse(response: ServerResponse, commit: () => void): void {
  for (const name of ['write', 'end', 'flushHeaders'] as const) {
    const original = response[name].bind(response) as (...parameters: unknown[]) => unknown;
    const gated = (...parameters: unknown[]): unknown => {
      try {
        commit();
      } catch {
        response.destroy();
        return name === 'write' ? false : response;
      }
      return original(...parameters);
    };
    Object.assign(response, { [name]: gated });
  }
}
