// Loaded ahead of a script whose launcher waits for it (launch.js). A launcher that was killed can pass nothing on: its child, then
// another's, stops as if it had been told to.

/** Holds the launcher's process id. No setting, and gone before the script reads its environment. */
export const launcherEnv = 'LAUNCHER_PID'

const launcher = process.env[launcherEnv]
delete process.env[launcherEnv]
const askMs = 500
if (launcher !== undefined) {
  const asking = setInterval(() => {
    if (process.ppid === Number(launcher)) return
    clearInterval(asking)
    process.kill(process.pid, 'SIGTERM')
  }, askMs)
  asking.unref()
}
