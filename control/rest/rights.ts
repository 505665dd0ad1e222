/** What a shared access policy lets its holder do. Each operation of a service API asks for one. */
export const rights = ['RegistryRead', 'RegistryWrite', 'ServiceConnect', 'DeviceConnect'] as const

export type Right = (typeof rights)[number]

/** The policy that has all rights, and operations that no other may call. */
export const ownerPolicyName = 'iothubowner'
