import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UndoStack } from './undo-stack.ts'

test('steps run once, the last first, one after the other, and a failing one stops none', async () => {
  const done: string[] = []
  const undo = new UndoStack()
  undo.use({ [Symbol.dispose]: () => void done.push('used') })
  undo.defer(async () => {
    await Promise.resolve()
    done.push('slow')
  })
  undo.defer(() => Promise.reject(new Error('first')))
  undo.defer(() => void done.push('last'))
  const moved = undo.move()
  await undo.disposeAsync()
  assert.deepEqual(done, [])
  await assert.rejects(moved.disposeAsync(), /first/)
  assert.deepEqual(done, ['last', 'slow', 'used'])
  await moved.disposeAsync()
  assert.equal(done.length, 3)
})
