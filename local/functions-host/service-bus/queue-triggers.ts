import {
  ServiceBusClient,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
} from '@azure/service-bus';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';

import { NotSupportedError, resolveSettings, type LoadedFunction } from '../bindings.ts';
import type { HostJson } from '../host-json.ts';
import type { Invoke } from '../invoke.ts';
import { describeError, type Logger } from '../log.ts';
import { bodyData, messageMetadata } from './message-data.ts';
import { SettlementQueue } from './settlement-queue.ts';

const QueueTrigger = z.object({
  queueName: z.string().optional(),
  connection: z.string().default('ServiceBus'),
  isSessionsEnabled: z.boolean().default(false),
  cardinality: z.string().default('one'),
  autoCompleteMessages: z.boolean().default(true),
});

/** How long a stopping host waits for messages in work; the broker delivers the rest again. */
const closeTimeoutMs = 10_000;
/** A broker that is away is told of once in this time, not at each try. */
const quietMs = 60_000;

type Options = {
  functions: LoadedFunction[];
  invoke: Invoke;
  settings: HostJson['extensions']['serviceBus'];
  log: Logger;
};

export type StartQueueTriggers = typeof startQueueTriggers;

/** Receives for the app's queue triggers, each message in peek-lock, for as long as the host runs. */
export function startQueueTriggers(options: Options): { close(): Promise<void> } {
  const settlements = new SettlementQueue();
  const receivers = options.functions
    .filter(({ triggerType }) => triggerType === 'serviceBusTrigger')
    .map((target) => ({ target, source: sourceOf(target) }))
    .map(({ target, source }) => new QueueReceiver(target, source, { ...options, settlements }));
  for (const receiver of receivers) receiver.start();
  return {
    async close() {
      await Promise.all(receivers.map((receiver) => receiver.close()));
    },
  };
}

function sourceOf(target: LoadedFunction): { queueName: string; connectionString: string } {
  const trigger = QueueTrigger.parse(target.trigger);
  const where = `of function '${target.name}'`;
  if (trigger.queueName === undefined) throw new NotSupportedError(`topic and subscription ${where}`);
  if (trigger.isSessionsEnabled) throw new NotSupportedError(`isSessionsEnabled ${where}`);
  if (trigger.cardinality.toLowerCase() !== 'one') throw new NotSupportedError(`cardinality ${where}`);
  if (!trigger.autoCompleteMessages) throw new NotSupportedError(`autoCompleteMessages false ${where}`);
  const connectionString =
    process.env[trigger.connection] ?? process.env[`AzureWebJobs${trigger.connection}`];
  if (connectionString === undefined || connectionString === '') {
    throw new Error(
      `the setting ${trigger.connection} is missing: the Service Bus connection string ${where}`,
    );
  }
  return { queueName: resolveSettings(trigger.queueName), connectionString };
}

class QueueReceiver {
  readonly #target: LoadedFunction;
  readonly #options: Options & { settlements: SettlementQueue };
  readonly #queueName: string;
  readonly #client: ServiceBusClient;
  readonly #receiver: ServiceBusReceiver;
  readonly #inWork = new Set<Promise<void>>();
  #subscription: { close(): Promise<void> } | undefined;
  #toldAtMs = -Infinity;

  constructor(
    target: LoadedFunction,
    source: { queueName: string; connectionString: string },
    options: Options & { settlements: SettlementQueue },
  ) {
    this.#target = target;
    this.#options = options;
    this.#queueName = source.queueName;
    this.#client = new ServiceBusClient(source.connectionString, {
      retryOptions: { maxRetries: 3, retryDelayInMs: 250, maxRetryDelayInMs: 1_000, timeoutInMs: 10_000 },
    });
    this.#receiver = this.#client.createReceiver(source.queueName, {
      receiveMode: 'peekLock',
      maxAutoLockRenewalDurationInMs: options.settings.maxAutoLockRenewalDuration,
      skipParsingBodyAsJson: true,
    });
  }

  /** Begins to receive. The SDK tries for ever while the broker is away or the queue is not there. */
  start(): void {
    this.#subscription = this.#receiver.subscribe(
      {
        processMessage: (message) => this.#track(this.#process(message)),
        processError: async ({ error }) => this.#tell(error),
      },
      { autoCompleteMessages: false, maxConcurrentCalls: this.#options.settings.maxConcurrentCalls },
    );
  }

  async close(): Promise<void> {
    await this.#subscription?.close();
    const ended = Promise.allSettled(this.#inWork);
    await Promise.race([ended, delay(closeTimeoutMs, undefined, { ref: false })]);
    await this.#client.close();
  }

  async #track(work: Promise<void>): Promise<void> {
    this.#inWork.add(work);
    await work;
    this.#inWork.delete(work);
  }

  async #process(message: ServiceBusReceivedMessage): Promise<void> {
    let succeeded = true;
    try {
      await this.#options.invoke(this.#target, {
        trigger: bodyData(message),
        metadata: messageMetadata(message),
      });
    } catch {
      // It is in the log; the message goes back to the queue.
      succeeded = false;
    }
    try {
      await this.#options.settlements.run(() =>
        succeeded ? this.#receiver.completeMessage(message) : this.#receiver.abandonMessage(message),
      );
    } catch (error) {
      const outcome = succeeded ? 'completed' : 'abandoned';
      const id = String(message.messageId);
      this.#options.log(
        'warning',
        'Host.ServiceBus',
        `Message ${id} of ${this.#queueName} could not be ${outcome} and will come again: ${describeError(error)}`,
      );
    }
  }

  #tell(error: unknown): void {
    const level = Date.now() - this.#toldAtMs > quietMs ? 'warning' : 'debug';
    if (level === 'warning') this.#toldAtMs = Date.now();
    this.#options.log(level, 'Host.ServiceBus', `Queue ${this.#queueName}: ${describeError(error)}`);
  }
}
