import {
  type ServiceBusClient,
  type ServiceBusSender,
  ServiceBusAdministrationClient,
  isServiceBusError,
} from '@azure/service-bus';
import { DomainError } from '../fault.ts';
import { type Command } from '../wire/command.ts';

/** Every appliance's own queue: what the control plane asks of it. */
export class CommandQueues {
  readonly #client: ServiceBusClient;
  readonly #connectionString: string;
  readonly #senders = new Map<string, ServiceBusSender>();

  constructor(options: {
    connectionString: string;
    /** `host:port` of the administration API where it is not the namespace's host. */
    adminEndpoint: string | undefined;
    client: ServiceBusClient;
  }) {
    this.#client = options.client;
    this.#connectionString =
      options.adminEndpoint === undefined
        ? options.connectionString
        : withEndpoint(options.connectionString, options.adminEndpoint);
  }

  /** Makes the appliance's queue; one that is there already is left as it is. */
  async ensure(applianceId: string): Promise<void> {
    await reaching('The queue of the appliance', async () => {
      const administration = new ServiceBusAdministrationClient(this.#connectionString);
      if (await administration.queueExists(commandQueueName(applianceId))) return;
      try {
        await administration.createQueue(commandQueueName(applianceId), {
          maxDeliveryCount: 10,
          lockDuration: 'PT1M',
          defaultMessageTimeToLive: 'P1D',
        });
      } catch (error) {
        if (!(error instanceof Error && 'statusCode' in error && error.statusCode === 409)) throw error;
      }
    });
  }

  /** Deletes the appliance's queue with all that lies in it; one that is not there is as good as deleted. */
  async delete(applianceId: string): Promise<void> {
    const sender = this.#senders.get(applianceId);
    this.#senders.delete(applianceId);
    await reaching('The queue of the appliance', async () => {
      await sender?.close();
      const administration = new ServiceBusAdministrationClient(this.#connectionString);
      if (!(await administration.queueExists(commandQueueName(applianceId)))) return;
      try {
        await administration.deleteQueue(commandQueueName(applianceId));
      } catch (error) {
        if (!(error instanceof Error && 'statusCode' in error && error.statusCode === 404)) throw error;
      }
    });
  }

  /** Sends a command; its id is the message's id. The appliance treats one that comes twice as one. */
  async send(applianceId: string, command: Command): Promise<void> {
    await reaching('The queue of the appliance', () =>
      this.#sender(applianceId).sendMessages({
        body: command,
        messageId: command.commandId,
        contentType: 'application/json',
      }),
    );
  }

  #sender(applianceId: string): ServiceBusSender {
    const known = this.#senders.get(applianceId);
    if (known && !known.isClosed) return known;
    const sender = this.#client.createSender(commandQueueName(applianceId));
    this.#senders.set(applianceId, sender);
    return sender;
  }
}

/** Name of an appliance's command queue. */
export function commandQueueName(applianceId: string): string {
  return `commands-${applianceId.toLowerCase()}`;
}

function withEndpoint(connectionString: string, endpoint: string): string {
  return connectionString.replace(/Endpoint=sb:\/\/[^;]+/iu, `Endpoint=sb://${endpoint}/`);
}

async function reaching<T>(subject: string, request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    if (isServiceBusError(error) && error.code === 'MessagingEntityNotFound') {
      throw new DomainError(
        { code: 'ResourceNotFound', message: `${subject} was not found.` },
        { cause: error },
      );
    }
    if (isPassing(error)) {
      throw new DomainError(
        {
          code: 'Unavailable',
          message: 'Service Bus can not be reached just now.',
          recommendedAction: 'Repeat the request in a few seconds.',
        },
        { cause: error },
      );
    }
    throw error;
  }
}

function isPassing(error: unknown): boolean {
  if (isServiceBusError(error)) return error.retryable || error.code === 'ServiceCommunicationProblem';
  if (!(error instanceof Error)) return false;
  const status = 'statusCode' in error ? Number(error.statusCode) : 0;
  if (status >= 500 || status === 429) return true;
  return 'code' in error && /^(?:E[A-Z]+|REQUEST_SEND_ERROR)$/u.test(String(error.code));
}
