import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AsyncDisposableStack, DisposableStack } from './disposable-stack.ts'

const fails = (): never => {
  throw new Error('a step')
}

test('asynchronous steps run once, the last first, one after the other, and a failing one stops none', async () => {
  const done: string[] = []
  const stack = new AsyncDisposableStack()
  stack.use({ [Symbol.dispose]: () => void done.push('used') })
  stack.use({
    async [Symbol.asyncDispose]() {
      await Promise.resolve()
      done.push('slow')
    }
  })
  stack.defer(fails)
  stack.defer(() => void done.push('last'))
  const moved = stack.move()
  await stack.disposeAsync()
  assert.deepEqual(done, [])
  await assert.rejects(moved.disposeAsync(), /a step/)
  assert.deepEqual(done, ['last', 'slow', 'used'])
  await moved.disposeAsync()
  assert.equal(done.length, 3)
})

test(
  'steps of a block run at its end, the last first, and a failing one stops none; what was moved runs when its ' +
    'new owner says so',
  () => {
    const done: string[] = []
    const block = (failing: boolean): DisposableStack => {
      using stack = new DisposableStack()
      stack.defer(() => void done.push('moved'))
      const moved = stack.move()
      stack.defer(() => void done.push('first'))
      if (failing) stack.defer(fails)
      assert.equal(stack.use({ name: 'x', [Symbol.dispose]: () => void done.push('used') }).name, 'x')
      done.push('body')
      return moved
    }
    const moved = block(false)
    assert.deepEqual(done, ['body', 'used', 'first'])
    moved.dispose()
    moved.dispose()
    assert.throws(() => block(true), /a step/)
    assert.deepEqual(done, ['body', 'used', 'first', 'moved', 'body', 'used', 'first'])
  }
)
