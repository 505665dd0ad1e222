/** For fuzz tests whose inputs are cheap: CI gives them seconds, and by hand `RUNS` gives each so many inputs, however long that takes. */
export function* fuzzRounds(what: string, secondsDefault: number): Generator<number> {
  const runs = process.env.RUNS === undefined ? Number.POSITIVE_INFINITY : Number(process.env.RUNS)
  const seconds = Number(process.env.FUZZ_SECONDS ?? secondsDefault)
  const startMs = performance.now()
  const endMs = Number.isFinite(runs) ? Number.POSITIVE_INFINITY : startMs + seconds * 1_000
  let round = 0
  for (; round < runs && performance.now() < endMs; round++) {
    if (Number.isFinite(runs) && round > 0 && round % tellEvery === 0) tell(what, round, startMs)
    yield round
  }
  if (Number.isFinite(runs)) tell(what, round, startMs)
}

/** A run that is stopped has said how far it was. */
const tellEvery = 10_000

function tell(what: string, rounds: number, startMs: number): void {
  const seconds = Math.round((performance.now() - startMs) / 1_000)
  process.stdout.write(`${what}: ${rounds.toLocaleString('en')} in ${seconds} s\n`)
}
