import { join, resolve } from 'node:path'
import { confineFileAccess, type FileAccess } from '#runtime/landlock.ts'

/** What the engine and Node read of the system: libraries, tools, time zones, certificates and host names. Nothing of the system's users. */
const systemFiles: FileAccess = {
  execute: ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64'],
  read: [
    ...[
      'ssl',
      'pki',
      'ca-certificates',
      'ld.so.cache',
      'localtime',
      'timezone',
      'resolv.conf',
      'hosts',
      'host.conf',
    ].map(inEtc),
    ...['nsswitch.conf', 'gai.conf', 'services', 'protocols', 'os-release'].map(inEtc),
    ...['cpuinfo', 'meminfo', 'stat', 'loadavg', 'uptime', 'version', 'filesystems', 'mounts', 'sys'].map(inProc),
    ...['/sys/fs/cgroup', '/sys/devices/system', '/dev/random', '/dev/urandom'],
  ],
  write: ['/dev/null', '/dev/zero'],
}

/** Folders of the program itself. The data folder may lie beside them, so their parent is not in the list. */
const programFolders = [
  ...['node_modules', 'infra', 'pipeline', 'runtime', 'schemas', 'control', 'package.json'],
  // The sources without types.
  '.cache/stripped',
]

/**
 * Takes from this process, which runs statements, the right to open what it does not need: files of other users and programs, the log,
 * the registry of devices, the environment of other processes. This holds even if a statement gets past the judge.
 * @param dataDir the folder of the embedded warehouse only
 * @returns why it could not be done; undefined if it holds
 */
export function confineEngine(dataDir: string): string | undefined {
  const program = resolve(import.meta.dirname, '../../..')
  return confineFileAccess({
    execute: systemFiles.execute,
    read: [
      ...systemFiles.read,
      ...programFolders.map((name) => join(program, name)),
      process.execPath,
      // The link would lead each process that this one starts to itself.
      inProc(String(process.pid)),
    ],
    write: [...systemFiles.write, dataDir],
  })
}

function inEtc(name: string): string {
  return join('/etc', name)
}

function inProc(name: string): string {
  return join('/proc', name)
}
