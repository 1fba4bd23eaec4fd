import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { GroupCommit } from './group-commit.ts'

test(
  'calls that come while one runs share the next, in order and at most so many; a failure reaches only those ' +
    'that shared it',
  async () => {
    const batches: number[][] = []
    let release: () => void = () => {}
    const group = new GroupCommit<number, number>(async ops => {
      batches.push([...ops])
      await new Promise<void>(resolve => {
        release = resolve
      })
      if (ops.includes(13)) throw new Error('disk full')
      return ops.map(op => op * 10)
    }, 3)
    const all = [1, 2].map(n => group.add(n))
    while (batches.length < 1) await turn()
    all.push(...[13, 4, 5, 6, 7].map(n => group.add(n)))
    const answers = Promise.allSettled(all)
    for (let done = 1; done <= 3; done++) {
      while (batches.length < done) await turn()
      release()
    }
    const texts = (await answers).map(a => (a.status === 'fulfilled' ? a.value : 'failed'))
    assert.deepEqual(batches, [
      [1, 2],
      [13, 4, 5],
      [6, 7]
    ])
    assert.deepEqual(texts, [10, 20, 'failed', 'failed', 'failed', 60, 70])
    await group.idle()
    const later = group.add(8)
    while (batches.length < 4) await turn()
    release()
    assert.equal(await later, 80)
  }
)
