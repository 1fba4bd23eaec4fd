/**
 * What refusing a malformed GGUF file costs: `node bench/admission.ts`. Each file of the corpus (test/gguf-attacks.ts),
 * and the largest ones that the limits let through, is opened in a process of its own; milliseconds are the median of 9
 * after the first, with the processor's share of them (on a busy machine the clock runs on), and the first by itself,
 * memory is how far the peak of the process grew beyond the file's own bytes.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { ggufLimits } from '../src/formats/gguf-limits.ts'
import { openGguf } from '../src/formats/gguf-reader.ts'
import { VeritError } from '../src/lib/errors.ts'
import { entry, forge, str, u32, u64 } from '../test/forge.ts'
import { ggufAttacks } from '../test/gguf-attacks.ts'

const middle = (list: number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1]!

/** Opens a good file, cuts it, and asks for a tensor. */
function readChanged(path: string): void {
  const whole = readFileSync(path)
  using file = openGguf(path)
  try {
    truncateSync(path, whole.length - 1)
    file.readTensor('w')
  } finally {
    writeFileSync(path, whole)
  }
}

function measure(path: string, change: boolean): void {
  const times: number[] = []
  const cpu: number[] = []
  let code = 'accepted'
  const before = process.resourceUsage().maxRSS
  for (let i = 0; i < 10; i++) {
    const began = performance.now()
    const used = process.cpuUsage()
    try {
      if (change) readChanged(path)
      else openGguf(path).close()
    } catch (e) {
      if (!VeritError.is(e)) throw e
      code = e.code
    }
    times.push(performance.now() - began)
    const { user, system } = process.cpuUsage(used)
    cpu.push((user + system) / 1000)
  }
  const first = times.shift()!
  cpu.shift()
  process.stdout.write(
    JSON.stringify({
      code,
      first,
      median: middle(times),
      cpu: middle(cpu),
      grown: (process.resourceUsage().maxRSS - before) / 1024
    })
  )
}

const { tensors, keyValues, arrayElements, stringBytes, headerBytes } = ggufLimits

/**
 * As many tensors as are allowed, or one more, with names of 64 bytes that differ at their end; the last has the name
 * of the first.
 */
const many = (count: number, offset: (i: number) => number = i => i * 32): Buffer =>
  forge({
    tensors: Array.from({ length: count }, (_, i) => ({
      name: `${'x'.repeat(58)}${(i === count - 1 ? 0 : i).toString(36).padStart(6, '0')}`,
      ne: [8, 1, 1, 1],
      offset: offset(i)
    })),
    data: Buffer.alloc(count * 32)
  })

/** One array of strings of `length` bytes each, then a fault. */
function strings(length: number, text: string, last: Buffer = entry('k', 255)): Buffer {
  const bytes = Buffer.from(text.repeat(Math.ceil(length / Buffer.byteLength(text))), 'utf8').subarray(0, length)
  const one = str(bytes)
  const count = Math.min(arrayElements - 100, Math.floor((headerBytes - 2000) / one.length))
  return forge({ entries: [entry('k', 9, u32(8), u64(count), Buffer.alloc(count * one.length, one)), last] })
}

const bad = str(Buffer.from([0xff]))
/** Files that are as large as the limits allow, and right until their end. */
const late: readonly [string, string, () => Buffer][] = [
  ['A18', `${tensors} tensors, the last a name twice`, () => many(tensors)],
  [
    'A18',
    `${tensors} tensors in the opposite order, the last a name twice`,
    () => many(tensors, i => (tensors - 1 - i) * 32)
  ],
  [
    'A18',
    '1,000,000 tensors',
    () => {
      const file = many(tensors)
      file.writeBigUInt64LE(1_000_000n, 8)
      return file
    }
  ],
  [
    'A9',
    `${keyValues} keys of 256 bytes, the last twice`,
    () =>
      forge({
        entries: Array.from({ length: keyValues }, (_, i) =>
          entry(`${'k'.repeat(250)}${String(i === keyValues - 1 ? 0 : i).padStart(6, '0')}`, 0, Buffer.from([0]))
        )
      })
  ],
  [
    'A6',
    `${keyValues} strings, the last not UTF-8`,
    () =>
      forge({
        entries: Array.from({ length: keyValues }, (_, i) =>
          entry(`k${i}`, 8, i === keyValues - 1 ? bad : str('x'.repeat(Math.floor(headerBytes / keyValues) - 30)))
        )
      })
  ],
  [
    'A6',
    'strings of 1 MiB, the last not UTF-8',
    () =>
      forge({
        entries: Array.from({ length: headerBytes / stringBytes }, (_, i) =>
          entry(`k${i}`, 8, i === headerBytes / stringBytes - 1 ? bad : str('é'.repeat(stringBytes / 2)))
        )
      })
  ],
  ['A7', 'an array of empty strings, then a fault', () => strings(0, 'x')],
  ['A7', 'an array of strings of 8 bytes, then a fault', () => strings(8, 'x')],
  ['A7', 'an array of strings of 9 bytes beyond ASCII, then a fault', () => strings(9, '語')],
  ['A7', 'an array of strings of 128 bytes, then a fault', () => strings(128, 'é')],
  ['A7', 'an array of strings of 100 kB, then a fault', () => strings(99_999, '語')],
  [
    'A7',
    'an array of empty strings, then one that is not UTF-8',
    () => strings(0, 'x', entry('m', 9, u32(8), u64(4), str(''), str(''), str(''), bad))
  ],
  [
    'A7',
    `an array of ${arrayElements - 1} bools, the last of them 2`,
    () => {
      const bools = Buffer.alloc(arrayElements - 1)
      bools[arrayElements - 2] = 2
      return forge({ entries: [entry('k', 9, u32(7), u64(bools.length), bools)] })
    }
  ],
  [
    'A7',
    'an array of 64-bit numbers, then a fault',
    () => {
      const count = Math.min(arrayElements, headerBytes / 8 - 100)
      return forge({ entries: [entry('k', 9, u32(10), u64(count), Buffer.alloc(8 * count)), entry('k', 255)] })
    }
  ]
]

function main(): void {
  const dir = mkdtempSync(join(tmpdir(), 'verit-admission-'))
  const path = join(dir, 'x.gguf')
  const sparse = existsSync('/dev/shm') ? `/dev/shm/${basename(dir)}.gguf` : join(dir, 'sparse.gguf')
  const all: {
    id: string
    what: string
    ms: number
    first: number
    cpu: number
    grown: number
    size: number
    code: string
  }[] = []
  const one = (id: string, what: string, file = path, ...change: string[]): void => {
    const { stdout } = spawnSync(process.execPath, [import.meta.filename, file, ...change], { encoding: 'utf8' })
    const { code, first, median, cpu, grown } = JSON.parse(stdout) as {
      code: string
      first: number
      median: number
      cpu: number
      grown: number
    }
    all.push({ id, what, ms: median, first, cpu, grown, size: statSync(path).size, code })
  }
  try {
    for (const [id, what, bytes] of ggufAttacks) {
      writeFileSync(path, bytes)
      one(id, what)
    }
    writeFileSync(path, forge())
    one('A19', 'a file cut after it was opened', path, 'change')
    writeFileSync(path, forge({ tensors: [{ ne: [2n ** 40n] }] }))
    truncateSync(path, 2 ** 39)
    one('A21', 'a sparse file of 512 GiB')
    // the largest that the file system takes: in memory 2^62 bytes
    let bits = 62
    while (spawnSync('truncate', ['-s', String(2n ** BigInt(bits)), sparse]).status !== 0) bits--
    one('A21', `a sparse file of 2^${bits} bytes`, sparse)
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
    process.stdout.write(
      `${common} files, one of 2^${bits} bytes among them, ${corpus.filter(a => a.code === 'accepted').length} ` +
        `accepted\n  worst median ms: ${worst(corpus, 'ms')}\n  worst first ms: ${worst(corpus, 'first')}\n` +
        `  worst MiB: ${worst(corpus, 'grown')}\n`
    )
    for (const a of all.slice(common))
      process.stdout.write(
        `${a.id} ${a.what}: ${a.code}, ${(a.size / 1e6).toFixed(1)} MB, first ${a.first.toFixed(0)} ms, median ` +
          `${a.ms.toFixed(0)} ms (processor ${a.cpu.toFixed(0)} ms), ${a.grown.toFixed(0)} MiB\n`
      )
  } finally {
    rmSync(dir, { recursive: true })
    rmSync(sparse, { force: true })
  }
}

const [path, change] = process.argv.slice(2)
if (path === undefined) main()
else measure(path, change !== undefined)
