/**
 * Preloaded (`node --import`) into the processes of the scenario clock-jump: `Date` runs ahead of the machine's clock by the
 * milliseconds that the file `LOADTEST_CLOCK_FILE` says. Timers are left alone, as a real jump leaves them alone.
 */
import { readFileSync } from 'node:fs'

const lookMs = 20

function installJumpingClock(file: string): void {
  const RealDate = Date
  let aheadMs = 0
  const look = () => {
    try {
      aheadMs = Number(readFileSync(file, 'utf8')) || 0
    } catch {
      // Being written, or gone at the end.
    }
  }
  look()
  setInterval(look, lookMs).unref()
  const now = () => RealDate.now() + aheadMs
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
    get: (target, key, receiver) => (key === 'now' ? now : Reflect.get(target, key, receiver)),
  })
}

const file = process.env.LOADTEST_CLOCK_FILE
if (file !== undefined) installJumpingClock(file)
