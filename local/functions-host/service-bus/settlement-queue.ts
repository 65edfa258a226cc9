import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Begins settlements one a turn of the event loop: of two settlements of one turn the AMQP library can swap the
 * outcomes (facts: @azure/service-bus 7.9.5 on rhea), so that a message is completed that should be abandoned.
 */
export class SettlementQueue {
  #last: Promise<void> = Promise.resolve();

  async run<T>(settle: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => nextTurn());
    this.#last = turn;
    await turn;
    return settle();
  }
}
