import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { verit as run } from '../../test/cli.ts'
import { openExecutor } from '../exec/index.ts'
import { parseModelConfig } from '../model/config.ts'
import { writeRandomModel } from '../bench/random-model.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-generate-'))
const model = join(folder, 'tiny.gguf')
before(() =>
  writeRandomModel(
    model,
    openExecutor({ threads: 1 }),
    parseModelConfig({ kind: 'bitnet', layers: 1, hidden: 32, heads: 2, ffn: 64, context: 64, vocab: 257 }),
    { scale: 20 }
  )
)
after(() => rmSync(folder, { recursive: true }))

interface Ran {
  status: number
  out: string
  err: string
}

async function verit(args: string[], input = ''): Promise<Ran> {
  const { status, stdout: out, stderr: err } = await run(args, { input })
  return { status, out, err }
}

async function refused(...args: string[]): Promise<Ran> {
  const { status, stdout: out, stderr: err } = await run(args, { refusedEarly: true })
  return { status, out, err }
}

test('generate prints text as a stream or as JSON, the same for the same seed', async () => {
  const options = ['--seed', '7', '--max-tokens', '12', '--ignore-end-of-text']
  const [plain, json, piped, named] = await Promise.all([
    verit(['generate', model, 'hello', ...options]),
    verit(['generate', model, 'hello', ...options, '--json', '--logprobs', '1', '--threads', '1']),
    verit(['generate', model, ...options], 'hello'),
    verit(['generate', model, '--prompt', 'hello', '--echo', ...options])
  ])
  const result = JSON.parse(json.out) as {
    text: string
    seed: number
    reason: string
    promptTokens: number
    completionTokens: number
    tokens: { top: unknown[] }[]
  }
  assert.equal(plain.out, `${result.text}\n`)
  assert.deepEqual([result.seed, result.reason, result.promptTokens, result.completionTokens], [7, 'length', 5, 12])
  assert.ok(result.tokens.length === 12 && result.tokens.every(t => t.top.length === 1))
  assert.equal(piped.out, plain.out)
  assert.equal(named.out, `hello${plain.out}`)
})

test('generate takes how to compute, and the text is the same', async () => {
  const options = ['generate', model, 'hello', '--seed', '7', '--max-tokens', '12', '--ignore-end-of-text']
  const [plain, base3, twoBit, reference, wrong, absent, automatic, screened, ...counts] = await Promise.all([
    verit(options),
    verit([...options, '--packing', 'base3', '--threads', '3']),
    verit([...options, '--packing', 'two-bit', '--instruction-set', 'baseline']),
    verit([...options, '--packing', 'base3', '--instruction-set', 'reference']),
    refused(...options, '--packing', 'tight'),
    verit([...options, '--cores', '8000']),
    verit([
      ...options,
      '--packing',
      'auto',
      '--instruction-set',
      'auto',
      '--head-screen',
      'auto',
      '--speculate',
      'auto',
      '--threads',
      '0'
    ]),
    verit([...options, '--head-screen', 'on']),
    ...['1025', '1.5'].map(n => refused(...options, `--threads=${n}`))
  ])
  assert.deepEqual([base3.out, twoBit.out, reference.out, automatic.out], [plain.out, plain.out, plain.out, plain.out])
  assert.deepEqual([wrong.status, absent.status], [2, 2])
  assert.match(absent.err, /VERIT_USAGE/)
  assert.deepEqual([screened.status, screened.out], [2, ''])
  assert.match(
    screened.err,
    /tiny\.gguf cannot be screened: it is kept as F32, not F16\. Leave .* at auto, or .*verit convert .* --head f16\. \[VERIT_USAGE\]\n$/
  )
  for (const { status, err } of counts)
    assert.deepEqual(
      [
        status,
        /^error: option '--threads <n>' argument '.*' is invalid\. It must be a whole number from 0 to 1,024\./.test(
          err
        )
      ],
      [2, true],
      err
    )
})

test('generate takes the type of the KV cache', async () => {
  const options = [
    'generate',
    model,
    'hello',
    '--seed',
    '7',
    '--max-tokens',
    '12',
    '--ignore-end-of-text',
    '--json',
    '--logprobs',
    '1'
  ]
  const of = async (type: string): Promise<unknown> => {
    const { status, out, err } = await verit([...options, '--kv-cache-type', type])
    assert.equal(status, 0, err)
    return (JSON.parse(out) as { tokens: unknown }).tokens
  }
  const [auto, f32, f16, wrong] = await Promise.all([
    of('auto'),
    of('f32'),
    of('f16'),
    refused(...options, '--kv-cache-type', 'q8_0')
  ])
  assert.deepEqual(auto, f32)
  assert.notDeepEqual(f16, f32)
  assert.deepEqual([wrong.status, /Allowed choices are auto, f16, f32/.test(wrong.err)], [2, true], wrong.err)
})

test('a wrong option, a prompt that is too long and a missing file are one clear sentence each', async () => {
  const [option, long, missing] = await Promise.all([
    refused('generate', model, 'x', '--top-p', '2'),
    verit(['generate', model, 'x'.repeat(64)]),
    refused('generate', join(folder, 'none.gguf'), 'x')
  ])
  assert.deepEqual([option.status, long.status, missing.status], [2, 2, 2])
  assert.match(option.err, /^error: option '--top-p <p>' argument '2' is invalid\. It must be a number from 0 to 1\.\n/)
  assert.match(long.err, /^verit: The prompt has 64 tokens.*\[VERIT_PROMPT_LENGTH\]\n$/)
  assert.match(missing.err, /^verit: There is no file.*\n$/)
})

test('chat answers each line of a pipe, forgets when told to, and ends at /exit', async () => {
  const { status, out, err } = await verit(
    ['chat', model, '--temperature', '0', '--max-tokens', '6'],
    'hi\nho\n/clear\nhi\n/help\n/exit\nnever\n'
  )
  assert.equal(status, 0)
  const alone = await verit(['chat', model, '--temperature', '0', '--max-tokens', '6'], 'hi\n')
  assert.ok(alone.out.length > 1)
  assert.ok(out.startsWith(alone.out) && out.endsWith(alone.out) && out.length > 2 * alone.out.length)
  assert.match(err, /\/clear forgets/)
})

test('bench tells rates for a model file and for training', async () => {
  const { out } = await verit(['bench', 'train', '--steps', '2', '--json', '--threads', '1'])
  const training = JSON.parse(out) as {
    parameters: number
    millisecondsPerStep: { median: number }
    gflops: number
    loss: number
  }
  assert.equal(training.parameters, 804096)
  assert.ok(training.millisecondsPerStep.median > 0 && training.gflops > 0 && training.loss < 4.5)
})

test('log-probabilities, which only JSON shows, are refused without it', async () => {
  const { status, out, err } = await refused('generate', model, 'hello', '--logprobs', '1')
  assert.deepEqual([status, out, err.includes('Add --json')], [2, '', true])
})
