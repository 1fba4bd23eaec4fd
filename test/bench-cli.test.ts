/** `verit bench` and `tune` as processes; test/full/bench-cli.test.ts has the longer ones. */
// long: it measures the machine
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addon } from '../src/exec/native.ts'
import { allowedProcessors, processorList } from '../src/lib/processor-list.ts'
import { parseConfig } from '../src/server/config-file.ts'
import { verit as cli } from './cli.ts'
import type { CliOptions } from './cli.ts'

interface Ran {
  status: number
  out: string
  err: string
}

async function run(args: readonly string[], options: CliOptions = {}): Promise<Ran> {
  const { status, stdout: out, stderr: err } = await cli(args, options)
  return { status, out, err }
}
const verit = (...args: string[]): Promise<Ran> => run(args)

test('bench decode and prefill say in words what they found', async () => {
  const decode = await verit('bench', 'decode', '--shape', 'nano', '--tokens', '5', '--threads', '1')
  assert.equal(decode.status, 0, decode.err)
  assert.match(
    decode.out,
    /^nano \(random weights\): gpt, [\d,]+ parameters, head f16, KV cache f32; .*\ndecode, 5 tokens\n +speed +[\d.,]+ tokens\/s \([\d.,]+ to [\d.,]+\)\n +reads +[\d.]+ MB a token: .* % .* of memory: .*GB\/s.*\n +steps +\d+ a run; .*runs\/s.*\n(Other programs .*\n)?$/
  )
  const prefill = await verit('bench', 'prefill', '--tokens', '20', '--threads', '1', '--kv-cache-type', 'f16')
  assert.equal(prefill.status, 0, prefill.err)
  assert.match(
    prefill.out,
    /, KV cache f16.*\nprefill, 20 tokens\n.*\n.*\n +computes +[\d.]+ Gop a token: .* of int8: .*Gop\/s/
  )
})

test('bench decode measures a published shape in a mix of weight formats', async () => {
  const { status, out, err } = await verit(
    'bench',
    'decode',
    '--shape',
    'smollm2-135m',
    '--type',
    'q4_k_m',
    '--vocab-size',
    '300',
    '--tokens',
    '2',
    '--threads',
    '1',
    '--json'
  )
  assert.equal(status, 0, err)
  const { model, head, packing, operationsPerToken, bytesPerToken, share } = JSON.parse(out) as {
    model: string
    head: string
    packing: null
    operationsPerToken: number
    bytesPerToken: number
    share: { int8: { min: number } }
  }
  assert.deepEqual([model, head, packing], ['smollm2-135m q4_k_m (random weights)', 'q8_0', null])
  const weights = 30 * (2 * 576 * 576 + 2 * 192 * 576 + 3 * 1536 * 576)
  assert.equal(operationsPerToken, 2 * weights)
  assert.ok(bytesPerToken > 0.5 * weights && bytesPerToken < weights && share.int8.min > 0)
})

test('wrong use of bench is told', async () => {
  for (const [problem, ...args] of [
    ['--tokens cannot be 0', 'decode', '--tokens', '0'],
    ['--tokens cannot be 65', 'prefill', '--shape', 'nano', '--tokens', '65'],
    ['--sequences cannot be 1.5', 'batch', '--shape', 'nano', '--sequences', '1.5'],
    ['--head belongs to --shape', 'decode', '--head', 'f16'],
    ['--type belongs to --shape', 'prefill', '--type', 'q8_0'],
    ['--type cannot be q8_0', 'decode', '--shape', 'bitnet-nano', '--type', 'q8_0'],
    ['cannot be screened', 'decode', '--shape', 'bitnet-small', '--head-screen', 'on'],
    ['--context cannot be 3', 'decode', '--shape', 'nano', '--tokens', '4', '--context', '3'],
    ['a q6_k head needs a multiple of 256', 'decode', '--shape', 'bitnet-nano', '--head', 'q6_k']
  ] as const) {
    const { status, err } = await run(['bench', ...args])
    assert.deepEqual([status, err.includes(problem)], [2, true], err)
  }
})

test(
  'tune takes an instruction set and cores as given, and says them',
  { skip: process.platform !== 'linux' || addon() === undefined },
  async () => {
    const core = processorList(allowedProcessors().allowed)![0]!
    const { status, out, err } = await verit(
      'tune',
      '--shape',
      'nano',
      '--vocab-size',
      '300',
      '--instruction-set',
      'baseline',
      '--cores',
      String(core),
      '--json'
    )
    assert.equal(status, 0, err)
    const { options, configuration, threads } = JSON.parse(out) as {
      options: string[]
      configuration: string[]
      threads: { threads: number }[]
    }
    assert.deepEqual(
      [threads.map(t => t.threads), options],
      [[1], ['--instruction-set', 'baseline', '--cores', String(core)]]
    )
    const { instructionSet, cores } = parseConfig(configuration.join('\n'), 'tune').inference
    assert.deepEqual([instructionSet, cores], ['baseline', String(core)])
  }
)

test('a packing that there is not is told', async () => {
  const { status, err } = await run(['bench', 'decode', '--shape', 'nano'], { env: { VERIT_PACKING: 'x' } })
  assert.deepEqual([status, err.includes('VERIT_PACKING')], [2, true], err)
})
