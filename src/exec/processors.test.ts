import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { processors } from './processors.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-processors-'))
after(() => rmSync(dir, { recursive: true }))

let trees = 0
/** A folder with the files of a machine. */
function machine(files: Readonly<Record<string, string>>): string {
  const root = join(dir, String(trees++))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), `${text}\n`)
  }
  return root
}

const siblings = (cores: readonly string[], file = 'core_cpus_list'): Record<string, string> =>
  Object.fromEntries(cores.map((list, cpu) => [`sys/devices/system/cpu/cpu${cpu}/topology/${file}`, list]))
const allowed = (list: string): Record<string, string> => ({
  'proc/self/status': `Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t${list}\nMems_allowed_list:\t0`
})
const hyperthreads = siblings(['0,4', '1,5', '2,6', '3,7', '0,4', '1,5', '2,6', '3,7'])

test('two hardware threads of a core count once', () => {
  assert.deepEqual(processors(machine({ ...hyperthreads, ...allowed('0-7') }), 8), {
    logical: 8,
    physical: 4,
    quota: undefined,
    threads: 4
  })
  assert.deepEqual(
    processors(machine({ ...siblings(['0-1', '0-1', '2-3', '2-3'], 'thread_siblings_list'), ...allowed('0-3') }), 4),
    { logical: 4, physical: 2, quota: undefined, threads: 2 }
  )
})

test('processors that the process may not run on do not count', () => {
  assert.deepEqual(processors(machine({ ...hyperthreads, ...allowed('0,4-5') }), 3), {
    logical: 3,
    physical: 2,
    quota: undefined,
    threads: 2
  })
})

test('two virtual processors that the machine calls cores are two', () => {
  assert.deepEqual(processors(machine({ ...siblings(['0', '1']), ...allowed('0-1') }), 2), {
    logical: 2,
    physical: 2,
    quota: undefined,
    threads: 2
  })
})

test('a control group limits the threads, rounded down, at least to one', () => {
  const v2 = (max: string, above = 'max 100000'): string =>
    machine({
      ...hyperthreads,
      ...allowed('0-7'),
      'proc/self/cgroup': '0::/a/b',
      'sys/fs/cgroup/a/b/cpu.max': max,
      'sys/fs/cgroup/a/cpu.max': above
    })
  assert.deepEqual(processors(v2('250000 100000'), 8), { logical: 8, physical: 4, quota: 2.5, threads: 2 })
  assert.deepEqual(
    [v2('50000 100000'), v2('max 100000'), v2('max 100000', '300000 100000')].map(root => processors(root, 8).threads),
    [1, 4, 3]
  )
  const inside = machine({
    ...hyperthreads,
    ...allowed('0-7'),
    'proc/self/cgroup': '0::/',
    'sys/fs/cgroup/cpu.max': '200000 100000'
  })
  assert.equal(processors(inside, 8).threads, 2)
  const v1 = (quota: string): string =>
    machine({
      ...hyperthreads,
      ...allowed('0-7'),
      'proc/self/cgroup': '3:cpuset:/x\n1:cpu,cpuacct:/docker/1',
      'sys/fs/cgroup/cpu/cpu.cfs_quota_us': quota,
      'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000'
    })
  assert.deepEqual(
    [v1('300000'), v1('-1')].map(root => processors(root, 8)),
    [
      { logical: 8, physical: 4, quota: 3, threads: 3 },
      { logical: 8, physical: 4, quota: undefined, threads: 4 }
    ]
  )
})

test("where nothing can be read, or it makes no sense, Node's count stands", () => {
  for (const files of [{}, allowed('x-y'), { 'proc/self/cgroup': '0::/../..\nrubbish', 'proc/self/status': '' }]) {
    assert.deepEqual(processors(machine(files), 6), { logical: 6, physical: 6, quota: undefined, threads: 6 })
  }
  assert.equal(processors(machine({ ...hyperthreads, ...allowed('0-7') }), 3).threads, 3)
})

test('this machine has at least one core, and no more of them than processors', () => {
  const { logical, physical, threads } = processors()
  assert.ok(threads >= 1 && threads <= physical && physical <= logical && threads <= availableParallelism())
})
