import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

import { closeServer, listen } from '../https-server.ts';
import type { ServerCertificate } from './authority.ts';
import { issuerUrl, publicJwkOf, type TokenKey } from './token.ts';

/** The token issuer's public side: what whoever checks tokens reads. */
export type Issuer = {
  /** `iss` of its tokens; `/.well-known/openid-configuration` hangs under it. */
  issuer: string;
  jwksUri: string;
  port: number;
  close(): Promise<void>;
};

/** Serves the OpenID configuration and the signing key on loopback, over https. Tokens are made by `mintToken`. */
export async function startIssuer(options: {
  key: TokenKey;
  tenantId: string;
  tls: ServerCertificate;
  port?: number;
}): Promise<Issuer> {
  const { key, tenantId, tls } = options;
  const keysPath = `/${tenantId}/discovery/v2.0/keys`;
  const server = createServer(tls);
  await listen(server, options.port ?? 0);
  const { port } = server.address() as AddressInfo;
  const issuer = issuerUrl(port, tenantId);
  const jwksUri = `https://localhost:${port}${keysPath}`;
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
  server.on('request', (request, response) => {
    const document = documents[(request.url ?? '').split('?')[0] ?? ''];
    const found = document !== undefined && (request.method === 'GET' || request.method === 'HEAD');
    response.writeHead(found ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(found ? document : { error: 'not_found' }));
  });
  return { issuer, jwksUri, port, close: () => closeServer(server) };
}
