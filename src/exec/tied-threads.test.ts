import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { allowedProcessors, processorList } from '../lib/processor-list.ts'
import { openExecutor } from './index.ts'
import { addon } from './native.ts'

const refused =
  (pattern: RegExp) =>
  (e: unknown): boolean =>
    VeritError.is(e, 'VERIT_USAGE') && pattern.test(e.message)

const here = processorList(allowedProcessors().allowed) ?? []
const skip =
  process.platform === 'linux' && addon() !== undefined && here.length > 1
    ? false
    : 'needs Linux, the native kernels and two processors'

test('each thread is tied to one of the cores in turn, and only those of this executor are', { skip }, () => {
  const tiedTo = (cpu: number): number =>
    readdirSync('/proc/self/task').filter(t => {
      try {
        return new RegExp(`^Cpus_allowed_list:\\s*${cpu}$`, 'm').test(
          readFileSync(`/proc/self/task/${t}/status`, 'utf8')
        )
      } catch {
        return false // it has ended
      }
    }).length
  const [a, b] = here as [number, number]
  const before = [tiedTo(a), tiedTo(b)]
  const executor = openExecutor({ cores: `${a},${b}`, threads: 3 })
  const counted = openExecutor({ cores: `${b}` })
  assert.deepEqual([executor.threads, counted.threads, tiedTo(a) - before[0]!, tiedTo(b) - before[1]!], [3, 1, 2, 2])
})

test(
  "the system's own refusal is an error like any other",
  { skip: addon() === undefined || process.platform !== 'linux' },
  () => {
    for (const cores of [[8191], [-1], [1e9]])
      assert.throws(() => addon()!.createPool(2, Int32Array.from(cores)), { code: 'VERIT_USAGE' })
  }
)

test('the reference executor has no threads to tie', () => {
  assert.throws(() => openExecutor({ cores: '0', instructionSet: 'reference' }), refused(/reference executor has none/))
})
