/** A health error as ARM answers it. */
export type HealthError = {
  innerHealthErrors: [];
  errorSource: string;
  errorType: string;
  errorLevel: 'Warning' | 'Error';
  errorCategory: string;
  errorCode: string;
  summaryMessage: string;
  errorMessage: string;
  possibleCauses: string;
  recommendedAction: string;
  creationTimeUtc: string;
  recoveryProviderErrorMessage: string;
  entityId: string;
  errorId: string;
  customerResolvability: 'Allowed' | 'NotAllowed';
};

/** Makes a health error; what is not given has the words that the real service has there. */
export function healthError(
  error: Pick<HealthError, 'errorCode' | 'errorMessage' | 'possibleCauses' | 'recommendedAction'> & {
    errorLevel?: HealthError['errorLevel'];
    errorSource?: string;
    errorCategory?: string;
    entityId?: string;
    atMs: number;
  },
): HealthError {
  const { atMs, ...given } = error;
  return {
    innerHealthErrors: [],
    errorSource: 'Secondsite',
    errorType: 'Health',
    errorLevel: 'Error',
    errorCategory: 'None',
    summaryMessage: given.errorMessage,
    creationTimeUtc: new Date(atMs).toISOString(),
    recoveryProviderErrorMessage: '',
    entityId: '',
    errorId: given.errorCode,
    customerResolvability: 'NotAllowed',
    ...given,
  };
}
