/**
 * What locking and checking cost at the start of a large model: `node bench/start.ts [model.gguf]`. Without a file it
 * makes one of 1.2 GB (the shape of BitNet 2B-4T, random weights) in the temporary folder. Each figure is the median of
 * five, least and most beside it; the file is in the page cache.
 *
 * hash: the digest alone. start to ready: open, hash, signature policy aside, process, lock, load. of it behind the
 * hash: from the digest's acceptance to ready, which is the loading, since the process started while the file was
 * hashed. process: a process that is started and locked and loads a model of a few kilobytes, once as it is, once
 * without its first start (native/ring.c), once without any lock.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { spread } from '../src/bench/benchmark.ts'
import { writeRandomPacked } from '../src/bench/random-packed.ts'
import { parseModelConfig } from '../src/model/config.ts'
import type { BitnetConfig } from '../src/model/config.ts'
import { ModelRunner } from '../src/runner/model-runner.ts'
import { RunnerProcess } from '../src/runner/runner-process.ts'
import { digestFile } from '../src/trust/digest.ts'
import { tinyModel } from '../test/served.ts'

const TIMES = 5
const dir = mkdtempSync(join(tmpdir(), 'verit-start-'))
const own = join(dir, '2b4t.gguf')
const path = process.argv[2] ?? own

const show = (what: string, ms: readonly number[], more = ''): void => {
  const { median, min, max } = spread(ms)
  process.stdout.write(
    `${what.padEnd(52)}${median.toFixed(0).padStart(7)} ms  (${min.toFixed(0)} to ${max.toFixed(0)})${more}\n`
  )
}

/** The runner's program, cut short before what is named. */
const unlocked = join(dir, 'unlocked.ts')
const at = (file: string): string => JSON.stringify(fileURLToPath(new URL(`../src/${file}`, import.meta.url)))
writeFileSync(
  unlocked,
  `
import { Socket } from 'node:net'
import { loadModel } from ${at('engine/load.ts')}
import { RegularFile } from ${at('lib/regular-file.ts')}
import { serveEngine } from ${at('runner/serve-engine.ts')}
await serveEngine(new Socket({ fd: 3, readable: true, writable: true }), () => ({
  load: () => loadModel(new RegularFile(4, 'x', false)),
  sandbox: { native: true, noNewPrivs: false, landlock: 0, seccomp: false, codeRange: false, noRing: false, ownDescriptors: false, memoryBytes: 0 },
}))
process.exit(0)
`
)

async function process_(fd: number, script?: string): Promise<number> {
  const began = performance.now()
  const runner = new RunnerProcess({ fd, name: 'x', ...(script !== undefined && { script }) })
  await runner.load()
  const took = performance.now() - began
  await runner.close()
  return took
}

try {
  if (!existsSync(path)) {
    const shape = {
      kind: 'bitnet',
      layers: 30,
      hidden: 2560,
      heads: 20,
      kvHeads: 5,
      ffn: 6912,
      context: 4096,
      vocab: 128_256
    }
    writeRandomPacked(path, parseModelConfig(shape) as BitnetConfig)
  }
  const { size } = statSync(path)
  const hashes: number[] = []
  const ready: number[] = []
  const behind: number[] = []
  await digestFile(path)
  for (let i = 0; i < TIMES; i++) {
    const began = performance.now()
    await digestFile(path)
    hashes.push(performance.now() - began)
    const start = performance.now()
    let digested = 0
    const runner = await ModelRunner.start(path, { onDigest: () => void (digested = performance.now()) })
    ready.push(performance.now() - start)
    behind.push(performance.now() - digested)
    await runner.close()
  }
  const { median } = spread(hashes)
  process.stdout.write(`${(size / 1e9).toFixed(2)} GB\n`)
  show('hash', hashes, `: ${(size / median / 1e6).toFixed(2)} GB/s`)
  show('start to ready', ready)
  show('of it behind the hash', behind)
  const fd = openSync(await tinyModel(dir), 'r')
  const locked: number[] = []
  const free: number[] = []
  const bare: number[] = []
  for (let i = 0; i < 2 * TIMES; i++) {
    locked.push(await process_(fd))
    free.push(await process_(fd, unlocked))
    const began = performance.now()
    spawnSync(process.execPath, ['--permission', '--allow-fs-read=*', '--allow-addons', '-e', ''])
    bare.push(performance.now() - began)
  }
  closeSync(fd)
  show('a process with a small model, locked', locked)
  show('the same without the lock', free)
  show('an empty Node: about what starting twice adds', bare)
} finally {
  rmSync(dir, { recursive: true })
}
