/** What a shared access policy lets its holder do. Each operation of a service API asks for one. */
export const rights = [
  'RegistryRead',
  'RegistryWrite',
  'ServiceConnect',
  'DeviceConnect',
  'EnrollmentRead',
  'EnrollmentWrite',
  'RegistrationStatusRead',
  'RegistrationStatusWrite',
] as const

export type Right = (typeof rights)[number]

/** The policy that has all rights, and operations that no other may call. */
export const ownerPolicyName = 'iothubowner'

/** The policy that has all rights of provisioning. Its primary key is the owner's, until it is renewed. */
export const provisioningPolicyName = 'provisioningserviceowner'
