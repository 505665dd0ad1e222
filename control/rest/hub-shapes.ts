/** Documents of the hub that several operations take or give. */
import {
  aCount,
  aFlag,
  anObject,
  aText,
  aTime,
  choiceOf,
  listOf,
  named,
  orNull,
  recordOf,
} from '#runtime/api/shapes.ts'

const connectionState = choiceOf(['Connected', 'Disconnected'])
const status = choiceOf(['enabled', 'disabled'])
const authenticationKind = choiceOf(['sas', 'selfSigned', 'certificateAuthority', 'none'])
const thumbprints = recordOf({ primaryThumbprint: orNull(aText), secondaryThumbprint: orNull(aText) })
const capabilities = recordOf({ iotEdge: aFlag })

const authentication = recordOf({
  type: authenticationKind,
  symmetricKey: recordOf({ primaryKey: orNull(aText), secondaryKey: orNull(aText) }),
  x509Thumbprint: thumbprints,
})

const identityFields = {
  deviceId: aText,
  generationId: aText,
  etag: aText,
  connectionState,
  connectionStateUpdatedTime: aTime,
  lastActivityTime: aTime,
  cloudToDeviceMessageCount: aCount,
  authentication,
}

export const deviceShape = named(
  'Device',
  recordOf(
    {
      ...identityFields,
      status,
      statusReason: orNull(aText),
      statusUpdatedTime: aTime,
      capabilities,
      parentScopes: listOf(aText),
    },
    { deviceScope: aText },
  ),
)

export const moduleShape = named('Module', recordOf({ ...identityFields, moduleId: aText, managedBy: orNull(aText) }))

export const identityShape = { anyOf: [deviceShape, moduleShape] }

/** As it is asked for; what is left out is as for a new one. */
export const wantedIdentityShape = named(
  'IdentityContent',
  recordOf(
    {},
    {
      deviceId: aText,
      moduleId: aText,
      status: orNull(aText),
      statusReason: orNull(aText),
      authentication: orNull(anObject),
      capabilities: orNull(anObject),
      deviceScope: orNull(aText),
      parentScopes: orNull(listOf(aText)),
      managedBy: orNull(aText),
    },
  ),
)

export const twinShape = named(
  'Twin',
  recordOf(
    {
      deviceId: aText,
      etag: aText,
      deviceEtag: aText,
      status,
      statusUpdateTime: aTime,
      connectionState,
      lastActivityTime: aTime,
      cloudToDeviceMessageCount: aCount,
      authenticationType: authenticationKind,
      x509Thumbprint: thumbprints,
      modelId: aText,
      version: aCount,
      tags: anObject,
      properties: recordOf({ desired: anObject, reported: anObject }),
      capabilities,
    },
    { moduleId: aText, statusReason: aText },
  ),
)

export const twinPatchShape = named(
  'TwinPatch',
  recordOf({}, { tags: anObject, properties: recordOf({}, { desired: anObject }) }),
)

/** Headers that several operations know. */
export const ifMatch = { 'If-Match': 'an etag, quoted or not, or *' }
export const etag = { ETag: 'of the document' }
export const continuation = { 'x-ms-continuation': 'where the next page begins; left out on the last one' }
export const continues = { 'x-ms-continuation': 'as the page before had it' }
export const pageSize = { top: 'items of a page' }
