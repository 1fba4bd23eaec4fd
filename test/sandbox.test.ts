/**
 * The lock of the runner (docs/internals/sandbox.md), attacked from inside: a runner that is started and locked like
 * the real one makes raw system calls, and each is refused or ends it, while another model goes on answering.
 */
// long: it starts some 30 runners, and ends most of them
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { VeritError } from '../src/lib/errors.ts'
import { ModelRunner } from '../src/runner/model-runner.ts'
import type { Sandbox } from '../src/runner/messages.ts'
import { fixFor, notLocked } from '../src/runner/sandbox-words.ts'
import { RunnerProcess } from '../src/runner/runner-process.ts'
import type { RunnerOptions } from '../src/runner/runner-process.ts'
import { compileHostile } from './hostile-addon.ts'
import type { Orders } from './hostile-runner.ts'
import { DEADLY_OF_EACH_KIND, expectDeaths } from './deadly-calls.ts'
import { tinyModel } from './served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-sandbox-'))
const model = await tinyModel(dir)
const fd = openSync(model, 'r')
const other = await ModelRunner.start(model)
const tcp = createServer(socket => socket.destroy())
await new Promise<void>(resolve => void tcp.listen(0, '127.0.0.1', resolve))
const { port } = tcp.address() as AddressInfo
after(async () => {
  tcp.close()
  for (const runner of started) runner.kill('the test is over')
  await other.close()
  closeSync(fd)
  rmSync(dir, { recursive: true })
})

const { sandbox } = other.info
const path = join(dir, 'made')
const addon = join(dir, 'hostile.node')
const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** Why this machine cannot be tested, if so. */
function obstacle(): string | undefined {
  const missing = notLocked(sandbox)
  if (missing.length > 0) return `this machine cannot lock: ${missing.join('; ')}`
  return compileHostile(addon) ? undefined : 'no C compiler for the attacks'
}
const why = obstacle()
const skip = why ?? false

const started: RunnerProcess[] = []
function hostile(orders: Omit<Orders, 'addon' | 'port' | 'path'>, options: Partial<RunnerOptions> = {}): RunnerProcess {
  const name = JSON.stringify({ addon, port, path, ...orders })
  const runner = new RunnerProcess({ fd, name, script: file('hostile-runner.ts'), memoryBytes: 2 ** 31, ...options })
  started.push(runner)
  runner.load().catch(() => undefined)
  return runner
}
const { EACCES, EPERM, ENOTTY, ENOSYS, EMFILE, ENOMEM } = constants.errno

/** One process makes them all; each has to return what is expected. */
async function returns(expected: Readonly<Record<string, number>>, seccomp: boolean): Promise<void> {
  const runner = hostile({ attempts: Object.keys(expected), seccomp })
  const results = (await runner.ready).name.split(' ').map(Number)
  await runner.close()
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name, i) => [name, results[i]])), expected)
  assert.ok(!existsSync(path))
}

test(
  'a runner says before it reads its model that all of it is locked',
  { skip: process.platform === 'linux' && sandbox.native ? skip : 'nothing is locked here' },
  () => {
    assert.ok(
      sandbox.noNewPrivs &&
        sandbox.seccomp &&
        sandbox.codeRange &&
        sandbox.noRing &&
        sandbox.ownDescriptors &&
        sandbox.landlock >= 6 &&
        sandbox.memoryBytes > 0
    )
    const tasks = readdirSync(`/proc/${other.pid}/task`)
    for (const task of tasks) {
      const status = readFileSync(`/proc/${other.pid}/task/${task}/status`, 'utf8')
      assert.match(status, /^NoNewPrivs:\t1$/m)
      assert.match(status, /^Seccomp:\t2$/m)
      assert.match(status, /^CapPrm:\t0+$/m)
    }
    const limits = readFileSync(`/proc/${other.pid}/limits`, 'utf8')
    for (const name of ['core file size', 'file size', 'open files', 'data size'])
      assert.doesNotMatch(limits, new RegExp(`^Max ${name} +unlimited`, 'm'))
  }
)

test(
  'the memory that is made ready for a large model counts towards the ceiling',
  { skip: process.platform === 'linux' && sandbox.native ? skip : 'nothing is locked here' },
  async () => {
    const large = join(dir, 'holes')
    writeFileSync(large, '')
    const holes = openSync(large, 'r+')
    ftruncateSync(holes, 200 * 2 ** 20)
    const ceiling = async (fd: number, memoryBytes: number): Promise<number> => {
      const runner = new RunnerProcess({ fd, name: 'model', memoryBytes })
      started.push(runner)
      await runner.load().catch((e: unknown) => assert.ok(VeritError.is(e, 'VERIT_GGUF')))
      const limits = readFileSync(`/proc/${runner.pid}/limits`, 'utf8')
      await runner.close()
      return Number(/^Max data size +(\d+)/m.exec(limits)![1])
    }
    // the second is too low for it: the memory is given back
    for (const bytes of [2 ** 30, 2 ** 29])
      assert.ok((await ceiling(holes, bytes)) - (await ceiling(fd, bytes)) < 125 * 2 ** 20)
    closeSync(holes)
  }
)

test('what Node may ask for in good faith is an error, and so is every path, limit and foreign thing', { skip }, () =>
  returns(
    {
      'open a file': -EACCES,
      'open the root folder': -EACCES,
      'open with openat2': -EACCES,
      'create a file': -EACCES,
      'make a folder': -EPERM,
      'ask whether a file exists': -EACCES,
      'open through an older thread': -EACCES,
      io_uring: -ENOSYS,
      'signals through a descriptor': -EPERM,
      'input to a terminal': -ENOTTY,
      'higher limits': -EPERM,
      'to be debugged': -EPERM,
      'signal itself': 0,
      'the engine makes its code executable': 0,
      'the engine compiles': 1,
      'many descriptors': -EMFILE,
      'all memory': -ENOMEM,
      'shared memory, which no ceiling counts': -EPERM,
      'memory that grows like a stack, which no ceiling counts': -EPERM,
      'to read the model past the cache, in each process to come': -EPERM
    },
    true
  )
)

test('Landlock alone, on threads old and new, stops files, TCP, signals and tracing', { skip }, () =>
  returns(
    {
      'open a file': -EACCES,
      'open the root folder': -EACCES,
      'open with openat2': -EACCES,
      'create a file': -EACCES,
      'make a folder': -EACCES,
      'open through an older thread': -EACCES,
      connect: -EACCES,
      bind: -EACCES,
      'run a program': -EACCES,
      'trace the parent': -EPERM,
      'signal the parent': -EPERM,
      'signal a thread of the parent': -EPERM,
      'signal itself': 0
    },
    false
  )
)

test('what only an attacker asks for ends the process at once, and nothing but the process', { skip }, () =>
  expectDeaths(DEADLY_OF_EACH_KIND, attempt => hostile({ attempts: [attempt] }))
)

test(
  '32-bit system calls, memory without end, frames that are none and a hang end the process, too',
  { skip },
  async () => {
    const attempts = [
      'all memory in JavaScript',
      'hang',
      'a frame of four gigabytes',
      'a frame that is no JSON',
      ...(process.arch === 'x64' ? ['32-bit system calls'] : [])
    ]
    for (const attempt of attempts) {
      const runner = hostile({ attempts: [attempt] }, { memoryBytes: 2 ** 29, hangMs: 150 })
      const ready = await runner.ready.then(
        info => Number(info.name),
        () => undefined
      )
      // JavaScript may be told that there is no more memory, and live
      if (attempt === 'all memory in JavaScript' && ready !== undefined)
        assert.ok(ready >= -8 && ready <= 0, `${-ready} blocks of 64 MiB`)
      else assert.equal(ready, undefined, attempt)
      await runner.close(0)
    }
  }
)

test('another runner answers through all this', { skip }, async () => {
  const answer = async (): Promise<number> =>
    (await Array.fromAsync(other.generate({ text: 'x' }, { maxTokens: 5, ignoreEndOfText: true }))).length
  const pid = other.pid
  const attacks = ['fork', 'signal everyone', 'all memory'].map(attempt =>
    hostile({ attempts: [attempt] }, { memoryBytes: 2 ** 29 })
  )
  assert.deepEqual(await Promise.all([answer(), answer(), answer()]), [7, 7, 7])
  await Promise.all(attacks.map(runner => runner.ready.catch(() => undefined)))
  assert.equal(await answer(), 7)
  assert.equal(other.pid, pid)
  await Promise.all(attacks.map(runner => runner.close(0)))
})

test(
  'no io_uring is open in a locked process, and no descriptor that the gateway inherited from those who started it',
  { skip },
  async () => {
    const program = `import { ModelRunner } from ${JSON.stringify(file('../src/runner/model-runner.ts'))}
    import { readdirSync, readlinkSync } from 'node:fs'
    const runner = await ModelRunner.start(process.argv[1])
    const folder = '/proc/' + runner.pid + '/fd/'
    console.log(JSON.stringify(readdirSync(folder).map(fd => readlinkSync(folder + fd))))
    await runner.close()`
    const leaked = openSync(join(dir, 'leaked'), 'w')
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program, model], {
      stdio: ['ignore', 'pipe', 'inherit', leaked, leaked, leaked, leaked],
      encoding: 'utf8'
    })
    closeSync(leaked)
    const open = JSON.parse(stdout) as string[]
    assert.ok(open.includes(model) && !open.some(target => /leaked|io_uring/.test(target)), stdout)
  }
)

test(
  'a lock is not complete where the process could not be started a second time, and so keeps what the gateway ' +
    'inherited',
  { skip },
  () => {
    const script = join(dir, 'asked.ts')
    writeFileSync(
      script,
      `import { readdirSync, readlinkSync } from 'node:fs'
    import { lockProcess } from ${JSON.stringify(file('../src/runner/sandbox.ts'))}
    const open = readdirSync('/proc/self/fd').flatMap(fd => { try { return readlinkSync('/proc/self/fd/' + fd) } catch { return [] } })
    process.stdout.write(JSON.stringify({ open, sandbox: lockProcess({ memoryBytes: 2 ** 30 }) }))`
    )
    const leaked = openSync(join(dir, 'leaked'), 'w')
    const lock = (...flags: string[]): { open: string[]; sandbox: Sandbox } =>
      JSON.parse(
        spawnSync(
          process.execPath,
          [
            '--permission',
            '--allow-fs-read=*',
            '--allow-addons',
            '--disable-warning=PERM0001',
            '--disable-sigusr1',
            ...flags,
            file('../src/runner/first.ts'),
            script
          ],
          { stdio: ['ignore', 'pipe', 'inherit', fd, fd, leaked], encoding: 'utf8' }
        ).stdout
      ) as ReturnType<typeof lock>
    const whole = lock()
    const partly = lock('--import', `data:text/javascript,process.execPath = '/none'`)
    closeSync(leaked)
    assert.ok(
      !whole.open.some(target => target.includes('leaked')) && partly.open.some(target => target.includes('leaked'))
    )
    assert.deepEqual(notLocked(whole.sandbox), [])
    assert.ok(notLocked(partly.sandbox).includes('open files and sockets of those who started the server'))
    const alone = { ...whole.sandbox, ownDescriptors: false }
    assert.equal(notLocked(alone).length, 1)
    assert.match(fixFor(alone), /a second time/)
  }
)

test('require_sandbox refuses a process that cannot be locked before it reads the model, with a hint', async () => {
  process.env['VERIT_EXECUTOR'] = 'reference'
  try {
    const start = ModelRunner.start(model, { requireSandbox: true })
    await assert.rejects(
      start,
      (e: unknown) => VeritError.is(e, 'VERIT_SANDBOX') && /nothing is locked/.test(e.message)
    )
    const lax = await ModelRunner.start(model)
    assert.ok(!lax.info.sandbox.noNewPrivs && notLocked(lax.info.sandbox).length > 0)
    await lax.close()
  } finally {
    delete process.env['VERIT_EXECUTOR']
  }
  if (why === undefined) await (await ModelRunner.start(model, { requireSandbox: true })).close()
})
