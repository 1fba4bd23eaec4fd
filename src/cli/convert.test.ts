import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { writeRandomModel } from '../engine/random-model.ts'
import { writeRandomPacked } from '../engine/random-packed.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { parseModelConfig } from '../model/config.ts'
import type { BitnetConfig } from '../model/config.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-convert-cli-'))
after(() => rmSync(folder, { recursive: true }))
const main = fileURLToPath(new URL('main.ts', import.meta.url)), hf = fileURLToPath(new URL('../../test/fixtures/hf-bitnet', import.meta.url))
const verit = (...args: string[]) => spawnSync(process.execPath, [main, 'convert', ...args], { encoding: 'utf8', timeout: 60_000, cwd: folder })

test('a model is converted, what was lost is said, and a file that is there is not replaced without --force', async () => {
  const config = parseModelConfig({ kind: 'bitnet', layers: 1, hidden: 256, heads: 2, ffn: 256, context: 16, vocab: 512 })
  await writeRandomModel(join(folder, 'in.gguf'), referenceExecutor(), config)
  const first = verit('in.gguf', 'out.gguf', '--ternary', 'tq2_0', '--head', 'q6_k')
  assert.equal(first.stderr, '')
  assert.match(first.stdout, /^out\.gguf: bitnet-b1\.58, 13 tensors, .*\nPrecision lost:\n {2}token_embd\.weight: F32 to Q6_K, 1\.\d % root mean square\n {2}scales of the ternary matrices: F32 to F16, .* % at most\n$/)
  using file = openGguf(join(folder, 'out.gguf'))
  assert.deepEqual([file.tensor('token_embd.weight').type, file.tensor('blk.0.ffn_up.weight').type], ['Q6_K', 'TQ2_0'])
  const again = verit('in.gguf', 'out.gguf')
  assert.deepEqual([again.status, again.stdout], [2, ''])
  assert.match(again.stderr, /out\.gguf exists already/)
  assert.match(verit('out.gguf', 'out.gguf', '--force').stderr, /is the model itself\. Give the output another name\./)
  assert.match(verit('in.gguf', 'none/out.gguf').stderr, /no file or folder none \(the folder to write into\)/)
  const forced = JSON.parse(verit('in.gguf', 'out.gguf', '--force', '--json').stdout) as { losses: unknown[] }
  assert.deepEqual(forced.losses, [])

  assert.match(verit(folder, 'hf.gguf').stderr, /has no config\.json/)
  const bare = verit(hf, 'hf.gguf')
  assert.equal(bare.status, 2)
  assert.match(bare.stderr, /has no tokenizer\.json.*--tokenizer/)
  const whole = verit(hf, 'hf.gguf', '--tokenizer', 'in.gguf')
  assert.deepEqual([whole.stderr, whole.stdout.split('\n')[1]], ['', 'No precision was lost.'])
})

test('a type of ternary matrices is refused where the model has none', async () => {
  await writeRandomModel(join(folder, 'gpt.gguf'), referenceExecutor(), parseModelConfig({ kind: 'gpt', layers: 1, hidden: 32, heads: 2, context: 16, vocab: 257 }))
  const { status, stderr } = verit('gpt.gguf', 'gpt-out.gguf', '--ternary', 'tq1_0')
  assert.equal(status, 2)
  assert.match(stderr, /gpt\.gguf is a gpt model: it has no ternary matrices\. Leave --ternary out\./)
  assert.match(verit('gpt.gguf', 'gpt-out.gguf').stdout, /^gpt-out\.gguf: gpt2, .*\nNo precision was lost\.\n$/)
})

test('Ctrl-C, or a request to end, leaves nothing of the file, and the status says which', { skip: process.platform === 'win32' && 'no such signals' }, async () => {
  // Q6_K looks for the best scales, so that this takes seconds.
  writeRandomPacked(join(folder, 'long.gguf'), parseModelConfig({ kind: 'bitnet', layers: 1, hidden: 256, heads: 2, ffn: 256, context: 16, vocab: 1 << 16 }) as BitnetConfig)
  for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
    const target = join(folder, signal)
    mkdirSync(target)
    const child = spawn(process.execPath, [main, 'convert', 'long.gguf', join(target, 'out.gguf'), '--head', 'q6_k'], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
    let stderr = ''
    child.stderr.on('data', (chunk: Buffer) => void (stderr += chunk.toString()))
    const ended = once(child, 'close') as Promise<[number | null]>
    while (readdirSync(target).length === 0 && child.exitCode === null) await new Promise(resolve => setTimeout(resolve, 10))
    assert.match(readdirSync(target).join(), /^\.verit-\d+-[0-9a-f]{16}\.tmp$/)
    child.kill(signal)
    child.kill(signal) // as under npm
    assert.deepEqual([(await ended)[0], readdirSync(target)], [status, []], stderr)
    assert.match(stderr, /Interrupted; nothing was written\. Run the same command again to start over\. \[VERIT_INTERRUPTED\]\n$/)
  }
})
