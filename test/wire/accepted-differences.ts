/** Where our answers are accepted to differ from the recorded ones, each with the reason. */
export const accepted = {
  policy: {},
  failbackPolicy: {},
  mappingList: {},
  operationStatus: {},
  fabric: {
    'extra: properties.customDetails.switchProviderBlockingErrorDetails':
      'newer than the recording: api-version 2023-06-01 has it',
    'extra: properties.customDetails.secondsite': 'ours: what set-up measured of the machine',
  },
  containerList: {},
  protectableItem: {
    'extra: properties.customDetails.secondsite': 'ours: where the machine is in its vCenter server',
  },
  protectedItem: {},
  recoveryPointList: {},
  vCenterJob: { 'extra: properties.endTime': 'the recorded job still ran' },
  enableJob: {
    'missing: properties.customDetails.affectedObjectDetails.protectionProfileId':
      'no client reads it; the item names its policy',
    'extra: properties.endTime': 'the recorded job still ran',
  },
  eventList: {},
} satisfies Record<string, Record<string, string>>;
