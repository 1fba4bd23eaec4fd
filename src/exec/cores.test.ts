import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { processorList } from '../lib/processor-list.ts'
import { usableCores } from './cores.ts'
import { openExecutor } from './index.ts'
import { addon } from './native.ts'
import { allowedProcessors } from './processors.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-cores-'))
after(() => rmSync(dir, { recursive: true }))
const machine = (name: string, files: Readonly<Record<string, string>>): string => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name, path)), { recursive: true })
    writeFileSync(join(dir, name, path), `${text}\n`)
  }
  return join(dir, name)
}
const eight = machine('eight', { 'proc/self/status': 'Cpus_allowed_list:\t0-3,6', 'sys/devices/system/cpu/present': '0-7' })
const refused = (pattern: RegExp) => (e: unknown): boolean => VeritError.is(e, 'VERIT_USAGE') && pattern.test(e.message)

test('cores are those that the machine has and the process may use', () => {
  assert.deepEqual(usableCores('2-3,0', eight, 'linux'), [0, 2, 3])
  assert.throws(() => usableCores('0,8', eight, 'linux'), refused(/no processor 8\. Choose among 0-7/))
  assert.throws(() => usableCores('3-6', eight, 'linux'), refused(/may not run on processor 4\. Choose among 0-3,6/))
  for (const text of ['', 'all', '3-1', '0,', '9999']) assert.throws(() => usableCores(text, eight, 'linux'), refused(/are no list of processors/), text)
  assert.throws(() => usableCores('0', eight, 'darwin'), refused(/on Linux only/))
})

test('where the system does not say what there is, a list stands as it is', () => {
  assert.deepEqual(usableCores('0,5', machine('mute', { 'proc/self/status': '' }), 'linux'), [0, 5])
})

const here = processorList(allowedProcessors().allowed) ?? []
const skip = process.platform === 'linux' && addon() !== undefined && here.length > 1 ? false : 'needs Linux, the native kernels and two processors'

test('each thread is tied to one of the cores in turn, and only those of this executor are', { skip }, () => {
  const tiedTo = (cpu: number): number => readdirSync('/proc/self/task').filter(t => {
    try {
      return new RegExp(`^Cpus_allowed_list:\\s*${cpu}$`, 'm').test(readFileSync(`/proc/self/task/${t}/status`, 'utf8'))
    } catch {
      return false // it has ended
    }
  }).length
  const [a, b] = here as [number, number]
  const before = [tiedTo(a), tiedTo(b)]
  const executor = openExecutor({ cores: `${a},${b}`, threads: 3 }), counted = openExecutor({ cores: `${b}` })
  assert.deepEqual([executor.threads, counted.threads, tiedTo(a) - before[0]!, tiedTo(b) - before[1]!], [3, 1, 2, 2])
})

test('the system\'s own refusal is an error like any other', { skip: addon() === undefined || process.platform !== 'linux' }, () => {
  for (const cores of [[8191], [-1], [1e9]]) assert.throws(() => addon()!.createPool(2, Int32Array.from(cores)), { code: 'VERIT_USAGE' })
})

test('the reference executor has no threads to tie', () => {
  assert.throws(() => openExecutor({ cores: '0', instructionSet: 'reference' }), refused(/reference executor has none/))
})

test('a packing can be chosen; one that there is not is refused', () => {
  assert.deepEqual([openExecutor({ threads: 1, packing: 'base3' }).ternary, openExecutor({ threads: 1, packing: 'two-bit' }).ternary, openExecutor({ instructionSet: 'reference', packing: 'base3' }).ternary], ['base3', 'two-bit', 'base3'])
  assert.throws(() => openExecutor({ packing: 'tight' }), refused(/"tight" names no packing/))
})
