/**
 * `verit bench decode`, `prefill` and `batch` as processes: what they print belongs together, and wrong use is told.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfig } from '../../src/server/config-file.ts'
import { verit as cli } from '../cli.ts'
import type { CliOptions } from '../cli.ts'

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
interface Kernels {
  instructionSet: string
  packing: string
}

interface Rate {
  median: number
  min: number
  max: number
}

test('bench batch prints rates, costs and limits that belong together, alone and beside a busy program', async () => {
  const { status, out, err } = await verit(
    'bench',
    'batch',
    '--shape',
    'bitnet-mini',
    '--vocab-size',
    '300',
    '--tokens',
    '4',
    '--sequences',
    '2',
    '--threads',
    '1',
    '--under-load',
    '--packing',
    'two-bit',
    '--json'
  )
  assert.equal(status, 0, err)
  const r = JSON.parse(out) as Record<'tokensPerSecond' | 'gbPerSecond' | 'gopPerSecond', Rate> & {
    model: string
    head: string
    packing: string
    threads: number
    workload: string
    tokens: number
    sequences: number
    bytesPerToken: number
    operationsPerToken: number
    machine: Record<'gbPerSecond' | 'int8GopPerSecond', Rate>
    share: Record<'bandwidth' | 'int8', Rate>
    alone: Record<'tokensPerSecond' | 'times', Rate>
    underLoad: Record<'tokensPerSecond' | 'share', Rate>
  }
  assert.deepEqual(
    [r.model, r.head, r.packing, r.threads, r.workload, r.tokens, r.sequences],
    ['bitnet-mini (random weights)', 'q6_k', 'two-bit', 1, 'batch', 4, 2]
  )
  const near = (a: number, b: number): void => assert.ok(Math.abs(a / b - 1) < 1e-9, `${a} ${b}`)
  near(r.gbPerSecond.max * 1e9, r.tokensPerSecond.max * r.bytesPerToken)
  near(r.gopPerSecond.min * 1e9, r.tokensPerSecond.min * r.operationsPerToken)
  assert.equal(r.operationsPerToken, 2 * 6 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 768 * 256))
  for (const { min, median, max } of [
    r.machine.gbPerSecond,
    r.machine.int8GopPerSecond,
    r.share.bandwidth,
    r.share.int8,
    r.alone.tokensPerSecond,
    r.alone.times,
    r.underLoad.tokensPerSecond,
    r.underLoad.share
  ]) {
    assert.ok(0 < min && min <= median && median <= max)
  }
})

test('tune says what to take, in words, as options, as lines of a configuration and for programs', async () => {
  const [words, json] = await Promise.all([
    verit('tune', '--shape', 'bitnet-nano'),
    verit('tune', '--shape', 'bitnet-nano', '--json')
  ])
  assert.equal(words.status, 0, words.err)
  assert.match(
    words.out,
    /^bitnet-nano \(random weights\); .*core.*\n(.*\n)+.*[Aa] request of 512 tokens and an answer of 128 takes .* on \d+ threads?.*\n(.*\n)*(Verit takes .* by itself: no option is needed\.|Take: .*serve --.*\nor in the configuration of .*serve:\n  \[inference\]\n(  .* = .*\n)+)\n?(Other programs .*\n)?(Measure again .*\n)?$/
  )
  const { automatic, options, configuration, best, usual, kernels, dropped, threads, why } = JSON.parse(json.out) as {
    automatic: boolean
    options: string[]
    configuration: string[]
    best: Kernels & { threads: number }
    usual: Kernels & { threads: number }
    kernels: Kernels[]
    dropped: (Kernels & { times: number })[]
    threads: { threads: number }[]
    why: string[]
  }
  const same =
    best.threads === usual.threads && best.packing === usual.packing && best.instructionSet === usual.instructionSet
  assert.deepEqual([automatic, options.length > 0, configuration.length > 0], [same, !same, !same])
  assert.ok(threads.some(t => t.threads === best.threads) && why.length >= 1 && kernels.length + dropped.length >= 1)
  const config = parseConfig(configuration.join('\n'), 'tune').inference
  if (options.includes('--threads')) assert.equal(config.threads, best.threads)
  if (options.includes('--packing')) assert.equal(config.packing, best.packing)
})
