import type { RpcTypedData } from '../core-api.ts';

/** Where the management endpoints are: for the app itself, and for those whom it hands the URLs to. */
export type ManagementUrls = {
  hubName: string;
  /** Ends with a slash. */
  rpcBaseUrl: string;
  /** Without a slash at the end. */
  publicBaseUrl: string;
  systemKey: string;
};

const placeholder = 'INSTANCEID';

/** The management URLs of one instance, as `createCheckStatusResponse` hands them out. */
export function managementUrlsOf(urls: ManagementUrls, instanceId: string): Record<string, string> {
  const query = requiredQuery(urls);
  const instance = `${urls.publicBaseUrl}/instances/${encodeURIComponent(instanceId)}`;
  return {
    id: instanceId,
    statusQueryGetUri: `${instance}?${query}`,
    sendEventPostUri: `${instance}/raiseEvent/{eventName}?${query}`,
    terminatePostUri: `${instance}/terminate?reason={text}&${query}`,
    purgeHistoryDeleteUri: `${instance}?${query}`,
    suspendPostUri: `${instance}/suspend?reason={text}&${query}`,
    resumePostUri: `${instance}/resume?reason={text}&${query}`,
  };
}

function requiredQuery(urls: ManagementUrls): string {
  return `taskHub=${urls.hubName}&connection=Storage&code=${encodeURIComponent(urls.systemKey)}`;
}

/** The value of a durableClient input. */
export function clientBindingValue(urls: ManagementUrls): RpcTypedData {
  const query = requiredQuery(urls);
  const create = `${urls.publicBaseUrl}/orchestrators/{functionName}[/{instanceId}]?${query}`;
  return {
    string: JSON.stringify({
      taskHubName: urls.hubName,
      creationUrls: { createNewInstancePostUri: create, createAndWaitOnNewInstancePostUri: create },
      managementUrls: managementUrlsOf(urls, placeholder),
      baseUrl: urls.publicBaseUrl,
      requiredQueryStringParameters: query,
      rpcBaseUrl: urls.rpcBaseUrl,
    }),
  };
}
