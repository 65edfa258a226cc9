import type { LocalConfig } from './config.ts';
import type { Rule } from './rules.ts';

/** The settings of the function app on the local platform: those that an operator gives it in Azure. */
export function appSettings(
  config: LocalConfig,
  rules: { applianceSend: Rule; applianceListen: Rule },
  managedIdentity: Record<string, string>,
): Record<string, string> {
  return {
    AzureWebJobsStorage: config.storageConnectionString,
    SERVICE_BUS: config.serviceBusConnectionString,
    SERVICE_BUS_ADMIN_ENDPOINT: config.serviceBusAdminEndpoint,
    APPLIANCE_SEND_RULE: ruleSetting(rules.applianceSend),
    APPLIANCE_LISTEN_RULE: ruleSetting(rules.applianceListen),
    STATE_STORAGE: config.storageConnectionString,
    REPLICA_STORAGE: config.storageConnectionString,
    TOKEN_ISSUER: config.tokenIssuer,
    TOKEN_AUDIENCE: config.tokenAudience,
    TOKEN_JWKS_URI: config.tokenJwksUri,
    VAULT_KEY: `file:${config.vaultKeyPath}`,
    TARGET_RESOURCE_MANAGER: config.targetResourceManager,
    PUBLIC_CA_CERTIFICATE: config.caCertificatePath,
    // What App Service sets where the app has a managed identity: DefaultAzureCredential finds it.
    ...managedIdentity,
  };
}

function ruleSetting({ name, key }: Rule): string {
  return `${name}=${key}`;
}
