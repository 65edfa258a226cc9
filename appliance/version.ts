/** Secondsite's version: one for all its parts. */
export { version } from '../shared/version.ts';
