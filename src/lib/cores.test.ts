import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { usableCores } from './cores.ts'
import { VeritError } from './errors.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-cores-'))
after(() => rmSync(dir, { recursive: true }))
const machine = (name: string, files: Readonly<Record<string, string>>): string => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name, path)), { recursive: true })
    writeFileSync(join(dir, name, path), `${text}\n`)
  }
  return join(dir, name)
}
const eight = machine('eight', {
  'proc/self/status': 'Cpus_allowed_list:\t0-3,6',
  'sys/devices/system/cpu/present': '0-7'
})
const refused =
  (pattern: RegExp) =>
  (e: unknown): boolean =>
    VeritError.is(e, 'VERIT_USAGE') && pattern.test(e.message)

test('cores are those that the machine has and the process may use', () => {
  assert.deepEqual(usableCores('2-3,0', eight, 'linux'), [0, 2, 3])
  assert.throws(() => usableCores('0,8', eight, 'linux'), refused(/no processor 8\. Choose among 0-7/))
  assert.throws(() => usableCores('3-6', eight, 'linux'), refused(/may not run on processor 4\. Choose among 0-3,6/))
  for (const text of ['', 'all', '3-1', '0,', '9999'])
    assert.throws(() => usableCores(text, eight, 'linux'), refused(/are not a list of processors/), text)
  assert.throws(() => usableCores('0', eight, 'darwin'), refused(/on Linux only/))
})

test('where the system does not say what there is, a list stands as it is', () => {
  assert.deepEqual(usableCores('0,5', machine('mute', { 'proc/self/status': '' }), 'linux'), [0, 5])
})
