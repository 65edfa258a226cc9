/** What clients keep at a vault for their credentials: extended information, certificates. */
import { ExtendedInfoRequest, getExtendedInfo, putExtendedInfo } from '../../shared/vault/extended-info.ts';
import { CertificateRequest, putVaultCertificate } from '../../shared/vault/vault-certificate.ts';
import { checkResourceName } from '../../shared/arm/resource-name.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { conditionsOf } from '../edge/conditions.ts';
import { type Call, httpOperation, vaultOf } from '../edge/http-edge.ts';
import { type PathParameters, vaultRoute } from '../edge/route.ts';
import { services } from '../services.ts';

const infoRoute = `${vaultRoute}/extendedInformation/vaultExtendedInfo` as const;
type InfoCall = Call<string> & { params: PathParameters<typeof infoRoute> };

httpOperation('getExtendedInfo', { method: 'GET', route: infoRoute }, async (call) => {
  const vault = await requireVault(services().table, vaultOf(call.params));
  return { status: 200, body: await getExtendedInfo(services(), vault) };
});

httpOperation('putExtendedInfo', { method: 'PUT', route: infoRoute }, (call) => write(call, true));
httpOperation('patchExtendedInfo', { method: 'PATCH', route: infoRoute }, (call) => write(call, false));

httpOperation(
  'putCertificate',
  { method: 'PUT', route: `${vaultRoute}/certificates/{certificateName}` },
  async (call) => {
    checkResourceName(call.params.certificateName, 'certificateName');
    const { properties } = await call.json(CertificateRequest);
    const { table, settings } = services();
    const vault = await requireVault(table, vaultOf(call.params));
    const body = await putVaultCertificate(table, vault, {
      name: call.params.certificateName,
      certificate: properties.certificate,
      tenantId: call.caller.tenantId,
      audience: settings.TOKEN_AUDIENCE.split(',')[0] ?? '',
      nowMs: Date.now(),
    });
    return { status: 200, body };
  },
);

async function write(call: InfoCall, replaces: boolean) {
  const { properties } = await call.json(ExtendedInfoRequest);
  const vault = await requireVault(services().table, vaultOf(call.params));
  const conditions = conditionsOf(call.headers);
  return {
    status: 200,
    body: await putExtendedInfo(services(), vault, { given: properties ?? {}, replaces, conditions }),
  };
}
