/** Writes docs/api.md and docs/openapi.json anew. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { apiDocument } from './api-table.ts';
import { openApiDocument } from './open-api.ts';

const docs = resolve(import.meta.dirname, '../../docs');
writeFileSync(resolve(docs, 'api.md'), await apiDocument());
writeFileSync(resolve(docs, 'openapi.json'), openApiDocument());
