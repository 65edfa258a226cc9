/** Whether the long form of the faults is wanted: `npm run test:faults`. The short form is part of `npm test`. */
export const isLong = process.env['SECONDSITE_FAULTS'] === 'long';
