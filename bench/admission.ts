/**
 * What refusing a malformed GGUF file costs: `node bench/admission.ts`. Each file of the corpus (test/gguf-attacks.ts), and the largest ones that the limits let
 * through, is opened in a process of its own; milliseconds are the median of 5 after one warm-up (for large files of the first), memory is how far the peak of
 * the process grew beyond the file's own bytes.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openGguf } from '../src/formats/gguf-reader.ts'
import { VeritError } from '../src/lib/errors.ts'
import { entry, forge, str, u32, u64 } from '../test/forge.ts'
import { ggufAttacks } from '../test/gguf-attacks.ts'

function measure(path: string): void {
  const times: number[] = []
  let code = 'accepted'
  const before = process.resourceUsage().maxRSS
  for (let i = 0; i < 6; i++) {
    const began = performance.now()
    try {
      openGguf(path).close()
    } catch (e) {
      if (!VeritError.is(e)) throw e
      code = e.code
    }
    times.push(performance.now() - began)
  }
  const first = times.shift()!
  process.stdout.write(JSON.stringify({ code, first, median: times.sort((a, b) => a - b)[2], grown: (process.resourceUsage().maxRSS - before) / 1024 }))
}

const many = (count: number, last: string): Buffer => forge({
  tensors: Array.from({ length: count }, (_, i) => ({ name: i === count - 1 ? last : `${'x'.repeat(50)}${i.toString(36).padStart(6, '0')}`, ne: [8], offset: i * 32 })),
  data: Buffer.alloc(count * 32),
})

/** Files that are refused only after all that the limits allow was read. */
const late: readonly [string, string, () => Buffer][] = [
  ['A18', '65,536 tensors, the last a name twice', () => many(65_536, `${'x'.repeat(50)}000000`)],
  ['A18', '1,000,000 tensors', () => {
    const file = many(65_536, 'last')
    file.writeBigUInt64LE(1_000_000n, 8)
    return file
  }],
  ['A6', '4,096 strings of 16 KiB, the last not UTF-8', () => forge({
    entries: Array.from({ length: 4096 }, (_, i) => entry(`k${i}`, 8, str(i === 4095 ? Buffer.from([0xff]) : 'x'.repeat(16_300)))),
  })],
  ['A7', '4,194,000 empty strings in an array, then a fault', () => forge({ entries: [entry('k', 9, u32(8), u64(4_194_000), Buffer.alloc(8 * 4_194_000)), entry('k', 255)] })],
]

function main(): void {
  const dir = mkdtempSync(join(tmpdir(), 'verit-admission-'))
  const path = join(dir, 'x.gguf')
  const all: { id: string; what: string; ms: number; first: number; grown: number; size: number; code: string }[] = []
  const one = (id: string, what: string): void => {
    const { stdout } = spawnSync(process.execPath, [import.meta.filename, path], { encoding: 'utf8' })
    const { code, first, median, grown } = JSON.parse(stdout) as { code: string; first: number; median: number; grown: number }
    all.push({ id, what, ms: median, first, grown, size: statSync(path).size, code })
  }
  try {
    for (const [id, what, bytes] of ggufAttacks) {
      writeFileSync(path, bytes)
      one(id, what)
    }
    const fd = openSync(path, 'w')
    writeSync(fd, forge({ tensors: [{ ne: [2n ** 40n] }] }))
    ftruncateSync(fd, 2 ** 42)
    closeSync(fd)
    one('A21', 'a sparse file of 4 TiB')
    const common = all.length
    for (const [id, what, make] of late) {
      writeFileSync(path, make())
      one(id, what)
    }
    const worst = (list: typeof all, key: 'ms' | 'first' | 'grown'): string => {
      const w = list.toSorted((a, b) => b[key] - a[key])[0]!
      return `${w[key].toFixed(1)} (${w.id} ${w.what})`
    }
    const corpus = all.slice(0, common)
    process.stdout.write(`${common} files, ${corpus.filter(a => a.code === 'accepted').length} accepted\n  worst median ms: ${worst(corpus, 'ms')}\n  worst first ms: ${worst(corpus, 'first')}\n`
      + `  worst MiB: ${worst(corpus, 'grown')}\n`)
    for (const a of all.slice(common)) process.stdout.write(`${a.id} ${a.what}: ${a.code}, ${(a.size / 1e6).toFixed(1)} MB, first ${a.first.toFixed(0)} ms, median ${a.ms.toFixed(0)} ms, ${a.grown.toFixed(0)} MiB\n`)
  } finally {
    rmSync(dir, { recursive: true })
  }
}

const [path] = process.argv.slice(2)
if (path === undefined) main()
else measure(path)
