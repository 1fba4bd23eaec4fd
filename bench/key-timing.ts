/**
 * Whether the time of a key check tells how near a guess is to a key: guesses that share all but the last two
 * characters with a valid key against guesses that share as many with a text that is no key, in random order, 10^6 of
 * each sort and more. (Guesses that share nothing with one another are slower than both: the processor learns to
 * predict a text that it sees again and again. That tells a guesser what he sent.) Welch's t of the two samples, whole
 * and cropped at percentiles, as dudect does (Reparaz, Balasch, Verbauwhede 2017): below 4.5 in all of them, no
 * difference was found.
 *
 *     node bench/key-timing.ts [samples]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newKey, withChecksum } from '../src/store/key-format.ts'
import { openStore } from '../src/store/open-store.ts'

const samples = Number(process.argv[2] ?? 1_000_000)
const dir = mkdtempSync(join(tmpdir(), 'verit-timing-'))
const store = await openStore({ stateFolder: join(dir, 'state') })
const { key } = await store.keys.create({ name: 'target' }, 'cli')
for (let i = 0; i < 100; i++) await store.keys.create({ name: `other ${i}` }, 'cli')
const body = key!.slice(6, 49)
const decoy = newKey().slice(6, 49)
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** What the guesses of a sort share with one another: the first characters of the key, or of a text that is no key. */
const stems = [decoy, body] as const
const SHARED = 41

/** A fresh guess, made the same way for both sorts, valid in form and checksum, so that each reaches the store. */
function guessLike(stem: string): string {
  const digits = Array.from(stem, (c, i) => {
    const drawn = DIGITS[Math.floor(Math.random() * 62)]!
    return i < SHARED ? c : drawn
  })
  if (digits.join('') === body) digits[42] = body.endsWith('0') ? '1' : '0'
  return withChecksum(digits.join(''))
}

const times: [Float64Array, Float64Array] = [new Float64Array(samples), new Float64Array(samples)]
const counts: [number, number] = [0, 0]
for (let i = 0; i < 20_000; i++) await store.keys.bySecret(guessLike(stems[i % 2]!))
while (counts[0] < samples || counts[1] < samples) {
  const which = Math.random() < 0.5 ? 0 : 1
  const guess = guessLike(stems[which])
  const start = process.hrtime.bigint()
  const found = await store.keys.bySecret(guess)
  const took = Number(process.hrtime.bigint() - start)
  if (found !== undefined) throw new Error('a wrong key was taken')
  if (counts[which] < samples) times[which][counts[which]++] = took
}
await store.close()
rmSync(dir, { recursive: true })

function welch(a: Float64Array, b: Float64Array): number {
  const of = (x: Float64Array): [number, number] => {
    let mean = 0
    let m2 = 0
    x.forEach((v, i) => {
      const d = v - mean
      mean += d / (i + 1)
      m2 += d * (v - mean)
    })
    return [mean, m2 / (x.length - 1) / x.length]
  }
  const [[ma, va], [mb, vb]] = [of(a), of(b)]
  return (ma - mb) / Math.sqrt(va + vb)
}
const sorted = Float64Array.from([...times[0], ...times[1]]).sort()
const at = (p: number): number => sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))]!
const results = [1, 0.999, 0.99, 0.95, 0.9, 0.75, 0.5].map(p => {
  const limit = p === 1 ? Infinity : at(p)
  return {
    below: p,
    t: Number(
      welch(
        times[0].filter(v => v <= limit),
        times[1].filter(v => v <= limit)
      ).toFixed(2)
    )
  }
})
const median = (x: Float64Array): number => Float64Array.from(x).sort()[x.length >> 1]!
process.stdout.write(
  `${JSON.stringify({
    samplesOfEach: samples,
    medianNs: { nearNothing: median(times[0]), nearKey: median(times[1]) },
    welch: results,
    distinguishable: results.some(r => Math.abs(r.t) >= 4.5)
  })}\n`
)
