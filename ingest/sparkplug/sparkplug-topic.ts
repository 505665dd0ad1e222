/**
 *   spBv1.0/{group}/{type}/{node}              NBIRTH NDEATH NDATA NCMD
 *   spBv1.0/{group}/{type}/{node}/{device}     DBIRTH DDEATH DDATA DCMD
 */
export interface SparkplugTopic {
  readonly group: string
  readonly type: string
  readonly node: string
  readonly device: string | undefined
}

const types: ReadonlySet<string> = new Set(['BIRTH', 'DEATH', 'DATA', 'CMD'])

/** `undefined`: it is none that has a payload of Sparkplug B, as that of a host's state. */
export function sparkplugTopicOf(topic: string): SparkplugTopic | undefined {
  if (!topic.startsWith('spBv1.0/')) return undefined
  const [, group = '', type = '', node = '', device, more] = topic.split('/', 6)
  const isOfNode = type.startsWith('N') && device === undefined
  const isOfDevice = type.startsWith('D') && device !== undefined && device !== '' && more === undefined
  if (group === '' || node === '' || !types.has(type.slice(1)) || !(isOfNode || isOfDevice)) return undefined
  return { group, type, node, device }
}
