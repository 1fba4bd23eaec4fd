import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { openExecutor } from './index.ts'
import { addon } from './native.ts'
import { processors } from './processors.ts'

const before = process.env.VERIT_THREADS
after(() => {
  if (before === undefined) delete process.env.VERIT_THREADS
  else process.env.VERIT_THREADS = before
})

test(
  'threads of 0 are as many as without a word: those of VERIT_THREADS, or one for each core',
  { skip: addon() === undefined },
  () => {
    for (const [variable, expected] of [
      [undefined, processors().threads],
      ['3', 3],
      ['0', processors().threads],
      ['', processors().threads]
    ] as const) {
      if (variable === undefined) delete process.env.VERIT_THREADS
      else process.env.VERIT_THREADS = variable
      assert.deepEqual(
        [openExecutor().threads, openExecutor({ threads: 0 }).threads, openExecutor({ threads: 2 }).threads],
        [expected, expected, 2]
      )
    }
  }
)

test('what is no number of threads is refused, and named', { skip: addon() === undefined }, () => {
  for (const threads of [-1, 1.5, 1025, NaN])
    assert.throws(() => openExecutor({ threads }), {
      code: 'VERIT_USAGE',
      message: new RegExp(`^${threads} is not a number of threads`)
    })
  process.env.VERIT_THREADS = 'many'
  assert.throws(() => openExecutor({ threads: 0 }), {
    code: 'VERIT_USAGE',
    message: /^VERIT_THREADS=many is not a number of threads/
  })
  assert.equal(openExecutor({ threads: 1 }).threads, 1)
})
