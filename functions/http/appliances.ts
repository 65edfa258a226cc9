/** How an appliance comes to a vault, and gets at its queues and containers. */
import { readFileSync } from 'node:fs';
import { grantApplianceTokens } from '../../shared/fabric/appliance-token.ts';
import { issueRegistrationKey } from '../../shared/fabric/registration-key.ts';
import { registerAppliance } from '../../shared/fabric/registration.ts';
import { parseRule } from '../../shared/fabric/service-bus-grant.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { ApplianceTokenRequest, RegistrationRequest } from '../../shared/wire/registration.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { vaultRoute } from '../edge/route.ts';
import { services } from '../services.ts';

httpOperation(
  'createRegistrationKey',
  { method: 'POST', route: `${vaultRoute}/secondsite/registrationKeys` },
  async (call) => {
    const { table, vaultKey, settings } = services();
    const vault = await requireVault(table, vaultOf(call.params));
    const caPath = settings.PUBLIC_CA_CERTIFICATE;
    const file = await issueRegistrationKey(
      { table, vaultKey },
      {
        vault,
        endpoint: call.origin,
        caCertificatePem: caPath === undefined ? undefined : readFileSync(caPath, 'utf8'),
        issuedTo: call.caller.objectId,
        nowMs: Date.now(),
      },
    );
    return { status: 200, body: file };
  },
);

httpOperation(
  'registerAppliance',
  { method: 'POST', route: `${vaultRoute}/secondsite/registrations`, authenticate: false },
  async (call) => {
    const request = await call.json(RegistrationRequest);
    const { table, vaultKey, commandQueues } = services();
    const vault = vaultOf(call.params);
    return { status: 200, body: await registerAppliance({ table, vaultKey, commandQueues }, vault, request) };
  },
);

httpOperation(
  'grantApplianceTokens',
  {
    method: 'POST',
    route: `${vaultRoute}/secondsite/appliances/{applianceId}/tokens`,
    authenticate: false,
    audit: false,
  },
  async (call) => {
    const { assertion } = await call.json(ApplianceTokenRequest);
    const { table, replicaStorage, settings } = services();
    const tokens = await grantApplianceTokens(
      {
        table,
        replicaStorage,
        serviceBus: settings.SERVICE_BUS,
        sendRule: parseRule(settings.APPLIANCE_SEND_RULE),
        listenRule: parseRule(settings.APPLIANCE_LISTEN_RULE),
      },
      { vault: vaultOf(call.params), applianceId: call.params.applianceId },
      assertion,
    );
    return { status: 200, body: tokens };
  },
);
