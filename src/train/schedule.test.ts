import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Sampler } from './sampler.ts'
import { scheduleAt } from './schedule.ts'
import { adamHyper } from './stepper.ts'

const cosine = { schedule: 'cosine', steps: 2000, warmup: 100, lr: 1e-3, lrFloor: 1e-4, weightDecay: 0.1 } as const

test('the rate rises in a line, then falls along half a cosine to its floor', () => {
  const lr = (step: number): number => scheduleAt(cosine, step).lr
  assert.equal(lr(0), 1e-3 / 101)
  assert.equal(lr(99), (1e-3 * 100) / 101)
  assert.equal(lr(100), 1e-3)
  for (const step of [101, 500, 1050, 1500, 1999]) {
    const expected = 1e-4 + 0.5 * (1 + Math.cos((Math.PI * (step - 100)) / 1900)) * 9e-4
    assert.ok(Math.abs(lr(step) - expected) < 1e-15, `${step}: ${lr(step)}`)
  }
  assert.ok(Math.abs(lr(2000) - 1e-4) < 1e-15)
  assert.equal(scheduleAt(cosine, 1999).weightDecay, 0.1)
})

test('in two stages the rate drops to a lower line at half the steps, where weight decay ends', () => {
  const options = { ...cosine, schedule: 'two-stage', steps: 1000, warmup: 0 } as const
  assert.deepEqual(scheduleAt(options, 0), { lr: 1e-3, weightDecay: 0.1 })
  assert.deepEqual(scheduleAt(options, 499), { lr: 1e-3 * (1 - 0.499), weightDecay: 0.1 })
  assert.deepEqual(scheduleAt(options, 500), { lr: 1e-4 * 0.5, weightDecay: 0 })
})

test('a run as long as its warm-up has a rate at each step', () => {
  for (const steps of [1, 2, 100])
    for (let step = 0; step < steps; step++) assert.ok(scheduleAt({ ...cosine, steps }, step).lr > 0)
})

test('the numbers of AdamW correct the bias of the moments', () => {
  const o = { beta1: 0.9, beta2: 0.99, eps: 1e-8 }
  assert.deepEqual(adamHyper(o, 0, 1e-3, 0.1), [0.9, 0.99, 1 - 1e-4, 1e-3 / (1 - 0.9), 1 / Math.sqrt(1 - 0.99), 1e-8])
  assert.equal(adamHyper(o, 1, 1e-3, 0.1)[3], 1e-3 / (1 - 0.9 * 0.9))
})

test('windows lie inside the data, reach both of its ends, and depend on seed and index alone', () => {
  const starts = (seed: number): number[] => {
    const sampler = new Sampler(seed, 20, 8)
    return Array.from({ length: 400 }, (_, i) => sampler.start(i))
  }
  const all = starts(1)
  assert.equal(Math.min(...all), 0)
  assert.equal(Math.max(...all), 11)
  assert.deepEqual(starts(1), all)
  assert.notDeepEqual(starts(2), all)
  const one = new Sampler(1, 20, 8)
  assert.equal(one.start(399), all[399])
  assert.equal(one.start(0), all[0])
})
