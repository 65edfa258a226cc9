/** docs/openapi.json: the operations below {vault}/secondsite/, of the schemas that the app itself reads and answers by. */
import { z } from 'zod';
import { version } from '../../shared/version.ts';
import {
  AddDisksBody,
  CreateRecoveryPointBody,
  RemoveDisksBody,
} from '../../shared/wire/arm-protected-item.ts';
import {
  AuditEventsAnswer,
  ChurnAnswer,
  ErrorAnswer,
  HistoryQuery,
  HoldBody,
  LogPointAnswer,
  ReplicaLogAnswer,
  RetentionRunsAnswer,
  RpoHistoryAnswer,
  TargetEnvironmentAnswer,
  TargetEnvironmentQuery,
} from '../../shared/wire/own-api.ts';
import {
  ApplianceTokenRequest,
  ApplianceTokens,
  RegistrationKeyFile,
  RegistrationRequest,
  RegistrationResult,
} from '../../shared/wire/registration.ts';
import { type Route } from './app-routes.ts';

const root =
  'subscriptions/{subscriptionId}/resourceGroups/{resourceGroup}/providers/Microsoft.RecoveryServices/vaults/{vaultName}/secondsite';

type OwnOperation = Route & {
  operationId: string;
  summary: string;
  query?: z.ZodType;
  body?: z.ZodType;
  /** Undefined: 202, as ARM's long-running operations. */
  answer?: z.ZodType;
  /** 204, once it is done. */
  answersNothing?: true;
  /** The credential is in the body. */
  anonymous?: true;
};

const paging = z.object({
  $take: z.string().optional().describe('Rows a page, 1 to 1,000.'),
  $skipToken: z.string().optional().describe('From nextLink.'),
});

/** All of them. */
export const ownOperations: readonly OwnOperation[] = [
  {
    method: 'POST',
    route: `${root}/registrationKeys`,
    operationId: 'createRegistrationKey',
    summary: 'Makes a key, valid five days and once, with which a configuration server registers itself.',
    answer: RegistrationKeyFile,
  },
  {
    method: 'POST',
    route: `${root}/registrations`,
    operationId: 'registerAppliance',
    summary: 'Registers a configuration server. Its registration key is the credential.',
    body: RegistrationRequest,
    answer: RegistrationResult,
    anonymous: true,
  },
  {
    method: 'POST',
    route: `${root}/appliances/{applianceId}/tokens`,
    operationId: 'grantApplianceTokens',
    summary:
      'Grants a configuration server its queues and containers for an hour. Its assertion is the credential.',
    body: ApplianceTokenRequest,
    answer: ApplianceTokens,
    anonymous: true,
  },
  {
    method: 'GET',
    route: `${root}/targetEnvironment`,
    operationId: 'getTargetEnvironment',
    summary: 'Checks whether a storage account and a network can be what machines are replicated to.',
    query: TargetEnvironmentQuery,
    answer: TargetEnvironmentAnswer,
  },
  {
    method: 'POST',
    route: `${root}/recoveryPoints`,
    operationId: 'createRecoveryPointNow',
    summary: 'Makes a recovery point now, outside of the policy.',
    body: CreateRecoveryPointBody,
  },
  {
    method: 'GET',
    route: `${root}/protectedItems/{name}/replicaLog`,
    operationId: 'getReplicaLog',
    summary:
      "Tells what a verifier or restorer has to know of an item's replica log. The name is the item's, or its GUID.",
    query: paging.pick({ $skipToken: true }),
    answer: ReplicaLogAnswer,
  },
  {
    method: 'GET',
    route: `${root}/protectedItems/{name}/retentionRuns`,
    operationId: 'listRetentionRuns',
    summary:
      "Lists what retention dropped, compacted and deleted of an item's replica log, newest first; 90 days.",
    query: paging,
    answer: RetentionRunsAnswer,
  },
  {
    method: 'GET',
    route: `${root}/churn`,
    operationId: 'listChurn',
    summary: 'Lists how much the disks of protected items changed, hour by hour; 90 days.',
    query: HistoryQuery.extend(paging.shape),
    answer: ChurnAnswer,
  },
  {
    method: 'GET',
    route: `${root}/rpoHistory`,
    operationId: 'listRpoHistory',
    summary: 'Lists how old the newest recovery point of protected items became, hour by hour; 90 days.',
    query: HistoryQuery.extend(paging.shape),
    answer: RpoHistoryAnswer,
  },
  {
    method: 'PUT',
    route: `${root}/protectedItems/{name}/recoveryPoints/{recoveryPointName}/holds/{holdId}`,
    operationId: 'holdRecoveryPoint',
    summary: 'Keeps a recovery point from being dropped while somebody restores it.',
    body: HoldBody,
    answer: LogPointAnswer,
  },
  {
    method: 'DELETE',
    route: `${root}/protectedItems/{name}/recoveryPoints/{recoveryPointName}/holds/{holdId}`,
    operationId: 'releaseRecoveryPoint',
    summary: 'Ends a hold.',
    answersNothing: true,
  },
  {
    method: 'DELETE',
    route: `${root}/physicalMachines/{protectableItemName}`,
    operationId: 'deletePhysicalMachine',
    summary: 'Forgets a physical machine that was named by its address, unless it is protected.',
    answersNothing: true,
  },
  {
    method: 'GET',
    route: `${root}/auditEvents`,
    operationId: 'listAuditEvents',
    summary: 'Lists who wrote what to the vault, when and with what result, newest first.',
    query: paging,
    answer: AuditEventsAnswer,
  },
];

/** The whole text of docs/openapi.json. */
export function openApiDocument(): string {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of ownOperations) {
    paths[`/${operation.route}`] = {
      ...paths[`/${operation.route}`],
      [operation.method.toLowerCase()]: describe(operation),
    };
  }
  const document = {
    openapi: '3.1.0',
    info: {
      title: 'Secondsite',
      version,
      description:
        'What Secondsite has beside the ARM API of Site Recovery. For that see https://github.com/Azure/azure-rest-api-specs, specification/recoveryservicessiterecovery and recoveryservices, and api.md here.',
    },
    paths,
    components: {
      schemas: {
        Error: schemaOf(ErrorAnswer, 'output'),
        AddDisks: schemaOf(AddDisksBody, 'input'),
        RemoveDisks: schemaOf(RemoveDisksBody, 'input'),
      },
      securitySchemes: {
        entra: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'Entra ID; roles in the token.',
        },
      },
    },
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function describe(operation: OwnOperation): object {
  const { operationId, summary, route, query, body, answer } = operation;
  const inPath = [...route.matchAll(/\{(\w+)\}/gu)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  return {
    operationId,
    summary,
    security: operation.anonymous === true ? [] : [{ entra: [] }],
    parameters: [...inPath, ...queryParameters(query)],
    ...(body !== undefined && {
      requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body, 'input') } } },
    }),
    responses: {
      ...(operation.answersNothing === true && { 204: { description: 'Done.' } }),
      ...(answer === undefined
        ? operation.answersNothing !== true && {
            202: { description: "Begun; Azure-AsyncOperation and Location tell where to ask, as in ARM's." },
          }
        : {
            200: {
              description: 'Done.',
              content: { 'application/json': { schema: schemaOf(answer, 'output') } },
            },
          }),
      default: {
        description: 'What was wrong, and what to do.',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
  };
}

function queryParameters(query: z.ZodType | undefined): object[] {
  if (query === undefined) return [];
  const { properties = {}, required = [] } = schemaOf(query, 'input') as {
    properties?: Record<string, object>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }));
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    io,
    target: 'draft-2020-12',
    unrepresentable: 'any',
  });
  return json;
}
