import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

import { closeServer, listen } from '../https-server.ts';
import type { ServerCertificate } from './authority.ts';
import { issuerUrl, mintToken, publicJwkOf, TOKEN_AUDIENCE, type TokenKey } from './token.ts';

/** What whoever checks tokens reads, and where the function app gets a token of its own. */
export type Issuer = {
  /** `iss` of its tokens; `/.well-known/openid-configuration` hangs under it. */
  issuer: string;
  jwksUri: string;
  /** The app's managed identity as App Service gives it: two settings, for @azure/identity. */
  managedIdentity: { IDENTITY_ENDPOINT: string; IDENTITY_HEADER: string };
  port: number;
  close(): Promise<void>;
};

/** Serves OpenID configuration, signing key and managed identity on loopback, over https. */
export async function startIssuer(options: {
  key: TokenKey;
  tenantId: string;
  tls: ServerCertificate;
  port?: number;
}): Promise<Issuer> {
  const { key, tenantId, tls } = options;
  const server = createServer(tls);
  await listen(server, options.port ?? 0);
  const { port } = server.address() as AddressInfo;
  const issuer = issuerUrl(port, tenantId);
  const keysPath = `/${tenantId}/discovery/v2.0/keys`;
  const jwksUri = `https://localhost:${port}${keysPath}`;
  const identityHeader = randomBytes(32).toString('base64url');
  const documents: Record<string, object> = {
    [keysPath]: { keys: [publicJwkOf(key)] },
    [`/${tenantId}/v2.0/.well-known/openid-configuration`]: {
      issuer,
      jwks_uri: jwksUri,
      id_token_signing_alg_values_supported: ['ES256'],
      response_types_supported: ['token'],
      subject_types_supported: ['public'],
    },
  };
  const answer = async (request: IncomingMessage): Promise<{ status: number; body: object }> => {
    const url = new URL(request.url ?? '/', jwksUri);
    const notFound = { status: 404, body: { error: 'not_found' } };
    if (request.method !== 'GET') return notFound;
    if (url.pathname === MANAGED_IDENTITY_PATH) {
      if (!isSecret(request.headers['x-identity-header'], identityHeader)) {
        return {
          status: 401,
          body: { statusCode: 401, message: 'The X-IDENTITY-HEADER is missing or wrong.' },
        };
      }
      return await answerManagedIdentity(url.searchParams.get('resource') ?? '', { key, issuer, tenantId });
    }
    const document = documents[url.pathname];
    return document === undefined ? notFound : { status: 200, body: document };
  };
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const send = ({ status, body }: { status: number; body: object }): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    answer(request).then(send, () => send({ status: 500, body: { error: 'server_error' } }));
  });
  return {
    issuer,
    jwksUri,
    managedIdentity: {
      IDENTITY_ENDPOINT: `https://localhost:${port}${MANAGED_IDENTITY_PATH}`,
      IDENTITY_HEADER: identityHeader,
    },
    port,
    close: () => closeServer(server),
  };
}

/** https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference */
const MANAGED_IDENTITY_PATH = '/msi/token';

async function answerManagedIdentity(
  resource: string,
  issuer: { key: TokenKey; issuer: string; tenantId: string },
): Promise<{ status: number; body: object }> {
  if (resource.replace(/\/$/u, '') !== TOKEN_AUDIENCE.replace(/\/$/u, '')) {
    return {
      status: 400,
      body: { statusCode: 400, message: `There are tokens for ${TOKEN_AUDIENCE} only.` },
    };
  }
  const { token, expiresAtMs } = await mintToken({
    ...issuer,
    role: 'contributor',
    name: 'Local function app',
  });
  const expires_on = String(Math.floor(expiresAtMs / 1000));
  return { status: 200, body: { access_token: token, expires_on, resource, token_type: 'Bearer' } };
}

function isSecret(given: string | string[] | undefined, secret: string): boolean {
  const left = Buffer.from(String(given ?? ''));
  const right = Buffer.from(secret);
  return left.length === right.length && timingSafeEqual(left, right);
}
