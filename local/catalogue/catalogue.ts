// The target subscription of the local platform: the part of Azure Resource Manager that choosing a target storage
// account and network takes, from a file.
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

import { describeError } from '../describe-error.ts';
import { closeServer, listen } from '../https-server.ts';
import type { ServerCertificate } from '../identity/authority.ts';
import { answerGet, ArmError } from './answer.ts';
import { readCatalogue } from './catalogue-file.ts';

/** A running catalogue. */
export type CatalogueServer = { endpoint: string; port: number; close(): Promise<void> };

/** Serves the catalogue over https on loopback. */
export async function startCatalogue(options: {
  dataFolder: string;
  subscriptionId: string;
  tenantId: string;
  tls: ServerCertificate;
  /** Rejects when the bearer token is not one for this API. */
  checkToken: (token: string) => Promise<unknown>;
  port?: number;
}): Promise<CatalogueServer> {
  const { dataFolder, subscriptionId, tenantId, checkToken } = options;
  readCatalogue(dataFolder);

  const answer = async (request: IncomingMessage): Promise<object> => {
    await checkAuthorization(request.headers.authorization, checkToken);
    const url = new URL(request.url ?? '/', 'https://localhost');
    if (request.method !== 'GET') {
      throw new ArmError(
        405,
        'MethodNotAllowed',
        'The local catalogue is changed by editing its file, catalogue.json.',
      );
    }
    if (!url.searchParams.has('api-version')) {
      throw new ArmError(
        400,
        'MissingApiVersionParameter',
        'The api-version query parameter (?api-version=) is required.',
      );
    }
    const path = decodePath(url.pathname);
    return answerGet(path, { subscriptionId, tenantId, catalogue: readCatalogue(dataFolder) });
  };

  const server = createServer(options.tls, (request, response) => {
    const send = (status: number, body: object): void => {
      response.writeHead(status, {
        'content-type': 'application/json; charset=utf-8',
        ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
      });
      response.end(JSON.stringify(body));
    };
    request.resume();
    answer(request).then(
      (body) => send(200, body),
      (error: unknown) => {
        const { status, code, message } =
          error instanceof ArmError ? error : new ArmError(500, 'InternalServerError', describeError(error));
        send(status, { error: { code, message } });
      },
    );
  });
  await listen(server, options.port ?? 0);
  const { port } = server.address() as AddressInfo;
  return { endpoint: `https://localhost:${port}`, port, close: () => closeServer(server) };
}

async function checkAuthorization(
  header: string | undefined,
  checkToken: (token: string) => Promise<unknown>,
): Promise<void> {
  const token = /^Bearer +(\S+)$/iu.exec(header ?? '')?.[1];
  if (token === undefined) {
    throw new ArmError(
      401,
      'AuthenticationFailed',
      "Authentication failed. The 'Authorization' header is missing.",
    );
  }
  try {
    await checkToken(token);
  } catch (error) {
    throw new ArmError(
      401,
      'InvalidAuthenticationToken',
      `The access token is invalid: ${describeError(error)}.`,
    );
  }
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new ArmError(400, 'InvalidRequestUri', `The path '${path}' is not encoded as it should be.`);
  }
}
