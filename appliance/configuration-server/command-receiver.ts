import {
  ServiceBusClient,
  type ServiceBusClientOptions,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
} from '@azure/service-bus';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { Command } from '../../shared/wire/command.ts';
import type { ApplianceTokens } from '../../shared/wire/registration.ts';
import { log } from '../log.ts';
import { describe } from './check-in-sender.ts';
import { closeClient } from './service-bus-client.ts';
import type { TokenKeeper } from './tokens.ts';

const lockRenewalMs = 5 * 60 * 1000;

/**
 * Takes commands from the appliance's queue. A command is written into the store before its message is completed, and
 * done afterwards: no message is held while something long happens.
 */
export class CommandReceiver {
  readonly #tokens: TokenKeeper;
  readonly #serviceBus: ServiceBusClientOptions;
  readonly #take: (command: Command) => void;
  #client: ServiceBusClient | undefined;
  #switching: Promise<void> = Promise.resolve();
  #closed = false;
  #lastError = '';

  /** @param take writes the command down and returns; a throw leaves the message in the queue */
  constructor(tokens: TokenKeeper, serviceBus: ServiceBusClientOptions, take: (command: Command) => void) {
    this.#tokens = tokens;
    this.#serviceBus = serviceBus;
    this.#take = take;
  }

  start(): void {
    this.#tokens.listen((tokens) => {
      this.#switching = this.#switching.then(async () => this.#switchTo(tokens));
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#switching;
    await this.#disconnect();
  }

  /** The SDK does not renew a SAS that it was given, so every renewal gets a client of its own. */
  async #switchTo(tokens: ApplianceTokens): Promise<void> {
    await this.#disconnect();
    if (this.#closed) return;
    const { connectionString, queue } = tokens.commands;
    this.#client = new ServiceBusClient(connectionString, {
      ...this.#serviceBus,
      retryOptions: { maxRetries: 3, retryDelayInMs: 1_000 },
    });
    const receiver = this.#client.createReceiver(queue, {
      receiveMode: 'peekLock',
      maxAutoLockRenewalDurationInMs: lockRenewalMs,
    });
    receiver.subscribe(
      {
        processMessage: async (message) => this.#handle(receiver, message),
        processError: async ({ error }) => this.#failed(error),
      },
      { autoCompleteMessages: false, maxConcurrentCalls: 1 },
    );
  }

  async #disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await closeClient(client);
  }

  async #handle(receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage): Promise<void> {
    const command = Command.safeParse(message.body);
    if (command.success) {
      this.#take(command.data);
      await receiver.completeMessage(message);
    } else {
      const deadLetterErrorDescription = z.prettifyError(command.error).slice(0, 1_000);
      log.warn('A command was not understood and is dead-lettered.', { messageId: message.messageId });
      await receiver.deadLetterMessage(message, {
        deadLetterReason: 'InvalidCommand',
        deadLetterErrorDescription,
      });
    }
    // rhea swaps the outcomes of settlements made in one turn of the event loop
    await nextTurn();
  }

  #failed(error: unknown): void {
    const { code, message } = describe(error);
    if (message !== this.#lastError) log.warn('Commands can’t be received just now.', { code, message });
    this.#lastError = message;
    if (code === 'UnauthorizedAccess') this.#tokens.renewSoon();
  }
}
