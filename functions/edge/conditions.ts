import { type HttpRequest } from '@azure/functions';
import { type Conditions } from '../../shared/store/conditions.ts';

/** The conditions a request sets by its headers. */
export function conditionsOf(headers: HttpRequest['headers']): Conditions {
  return {
    ifMatch: headers.get('if-match') ?? undefined,
    ifNoneMatch: headers.get('if-none-match') ?? undefined,
  };
}
