// LokiJS as Azurite gets it: the same in-memory database, but kept in the data folder's journal instead of being
// written out whole every five seconds.
import { createRequire } from 'node:module';
import { basename, dirname } from 'node:path';

import type { Journal, LokiDocument } from './journal.ts';

// The parts of LokiJS 1.5 that are used here.
type LokiCollection = {
  name: string;
  data: LokiDocument[];
  maxId: number;
  idIndex: number[] | null;
  ensureId(): void;
  ensureAllIndexes(force: boolean): void;
  clear(options?: object): void;
  on(event: 'insert', listener: (inserted: LokiDocument | LokiDocument[]) => void): void;
  on(event: 'update' | 'delete', listener: (document: LokiDocument) => void): void;
};
type Callback = (error?: Error) => void;
type LokiDatabase = {
  filename: string;
  addCollection(name: string, options?: unknown): LokiCollection;
  getCollection(name: string): LokiCollection | null;
  removeCollection(name: string): void;
  renameCollection(from: string, to: string): LokiCollection;
  loadDatabase(options: object, callback: Callback): void;
  saveDatabase(callback?: Callback): void;
};
type LokiConstructor = new (filename: string, options: { persistenceMethod: string }) => LokiDatabase;

/** The journals of the data folders in use: databases named by a path in such a folder are kept in its journal. */
const journals = new Map<string, Journal>();

/** Keeps the LokiJS databases that are opened under this folder in the journal, until the returned function is called. */
export function useJournal(folder: string, journal: Journal): () => void {
  journals.set(folder, journal);
  return () => journals.delete(folder);
}

/**
 * Puts the journaled LokiJS in place of the one that Azurite's modules require. To be called before they are loaded.
 * @returns the class that Azurite's databases are then instances of
 */
export function installJournaledLoki(): LokiConstructor {
  // LokiJS is Azurite's dependency, so it is looked up as Azurite does.
  const azuriteRequire = createRequire(createRequire(import.meta.url).resolve('azurite/package.json'));
  const path = azuriteRequire.resolve('lokijs');
  const original = azuriteRequire(path) as LokiConstructor & { journaled?: true };
  if (original.journaled === true) return original;
  const journaled = journaledLoki(original);
  const module = azuriteRequire.cache[path];
  if (module === undefined) throw new Error(`${path} was loaded, but is not in the module cache`);
  module.exports = journaled;
  return journaled;
}

function journaledLoki(Loki: LokiConstructor): LokiConstructor {
  return class JournaledLoki extends Loki {
    static readonly journaled = true;
    readonly #journal: Journal | undefined;
    readonly #ids = new WeakMap<LokiCollection, number>();

    constructor(filename: string, options: { persistenceMethod: string }) {
      super(filename, { persistenceMethod: 'memory' });
      if (options.persistenceMethod === 'memory') return;
      this.#journal = journals.get(dirname(filename));
      if (this.#journal === undefined) throw new Error(`There is no journal for ${filename}`);
      for (const { id, name, options, documents } of this.#journal.load(basename(filename))) {
        const collection = super.addCollection(name, options);
        fill(collection, documents);
        this.#follow(collection, id);
      }
    }

    override addCollection(name: string, options?: unknown): LokiCollection {
      const existing = super.getCollection(name);
      if (existing !== null) return existing;
      const collection = super.addCollection(name, options);
      if (this.#journal !== undefined) {
        this.#follow(collection, this.#journal.addCollection(basename(this.filename), name, options));
      }
      return collection;
    }

    override removeCollection(name: string): void {
      const collection = super.getCollection(name);
      const id = collection === null ? undefined : this.#ids.get(collection);
      super.removeCollection(name);
      if (id !== undefined) this.#journal?.removeCollection(id);
    }

    override renameCollection(from: string, to: string): LokiCollection {
      // Azurite never renames one.
      if (this.#journal !== undefined)
        throw new Error(`The journal cannot rename a collection (${from} to ${to})`);
      return super.renameCollection(from, to);
    }

    /** Loaded when it was made. */
    override loadDatabase(_options: object, callback: Callback): void {
      callback();
    }

    override saveDatabase(callback?: Callback): void {
      this.#journal?.commit();
      callback?.();
    }

    #follow(collection: LokiCollection, id: number): void {
      const journal = this.#journal;
      if (journal === undefined) return;
      this.#ids.set(collection, id);
      collection.on('insert', (inserted) => {
        for (const document of Array.isArray(inserted) ? inserted : [inserted]) journal.put(id, document);
      });
      collection.on('update', (document) => journal.put(id, document));
      collection.on('delete', (document) => journal.remove(id, document.$loki));
      const clear = collection.clear.bind(collection);
      collection.clear = (options) => {
        clear(options);
        journal.emptyCollection(id);
      };
    }
  };
}

/** Gives an empty collection its documents, which must be in order of their ids. */
function fill(collection: LokiCollection, documents: LokiDocument[]): void {
  collection.data = documents;
  collection.maxId = documents.at(-1)?.$loki ?? 0;
  collection.idIndex = null;
  collection.ensureId();
  collection.ensureAllIndexes(true);
}
