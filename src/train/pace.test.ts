import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseModelConfig } from '../model/config.ts'
import { forecastLines, timeLine } from './forecast.ts'
import { Pace } from './pace.ts'
import { parseTrainOptions } from './options.ts'
import { trainDefaults } from './presets.ts'
import type { PlannedRun } from './setup.ts'

const tokens = (length: number): PlannedRun['data']['train'] => ({ length, read: () => undefined })

function planned(rest: Partial<PlannedRun> = {}): PlannedRun {
  return {
    run: { path: '.' },
    settings: { data: 'data', name: 'x', saveEvery: 10, keep: 2 },
    resume: false,
    config: parseModelConfig({ kind: 'gpt', layers: 2, hidden: 64, heads: 2, context: 32, vocab: 300 }),
    options: parseTrainOptions({ ...trainDefaults, steps: 2000, batch: 4, microBatches: 2, evalEvery: 500 }),
    data: { train: tokens(10_000), validation: tokens(1000) } as PlannedRun['data'],
    executor: { name: 'native', threads: 2 } as PlannedRun['executor'],
    ...rest
  }
}

test('the lines before the first step have the numbers of the run', () => {
  const lines = forecastLines({ setup: planned({ stopAt: 60 }), from: 39, bytes: 5e6 })
  const [model, data, run, machine, memory, disk] = lines
  assert.equal(model, 'model    gpt, 2 layers, 2 heads, width 64, context 32, vocabulary 300: 119,872 parameters')
  assert.equal(data, 'data     10,000 tokens to train on, 1,000 held out')
  assert.equal(
    run,
    'run      2,000 steps of 256 tokens in 2 micro-batches: 512,000 tokens, 51 passes over the data; ' +
      '39 steps done, stopping after step 60'
  )
  assert.equal(machine, 'machine  native, 2 threads')
  assert.equal(memory, 'memory   about 125.0 MB')
  assert.match(disk!, /^disk {5}about 6\.2 MB at most.*: checkpoints of 1\.4 MB, a model file of 479\.5 kB$/)
})

test('the time counts the steps to the stop, and evaluations as a third of their tokens', () => {
  const line = timeLine({ setup: planned(), from: 0, bytes: 0 }, { seconds: 0.3, steps: 3 })
  assert.equal(line, 'time     about 10 min 02 s for 2,000 steps: 300 ms each, measured over 3 steps')
  const rest = timeLine({ setup: planned({ stopAt: 60 }), from: 39, bytes: 0 }, { seconds: 30, steps: 0 })
  assert.match(rest, /for 21 steps: 30\.0 s each, measured over a part of the first step$/)
})

test('the pace is known once, after three steps beside the first, or earlier where there are fewer', () => {
  const pace = new Pace(1)
  const step = (): ReturnType<Pace['tell']> => {
    pace.begin()
    pace.part()
    pace.end()
    return pace.tell()
  }
  assert.deepEqual([step(), step(), step()], [undefined, undefined, undefined])
  assert.equal(step()!.steps, 3)
  assert.equal(step(), undefined)
  const short = new Pace(1)
  short.begin()
  short.end()
  assert.equal(short.tell(true)!.steps, 1)
})
