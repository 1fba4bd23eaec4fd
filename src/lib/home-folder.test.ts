import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { stateBase } from './home-folder.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-home-'))
after(() => rmSync(dir, { recursive: true }))
const main = fileURLToPath(new URL('../cli/main.ts', import.meta.url))
const posix = process.platform !== 'win32'

test('XDG_STATE_HOME, then HOME, then the password database; relative ones do not count', { skip: !posix }, () => {
  const registered = join(userInfo().homedir, '.local/state')
  const cases: [NodeJS.ProcessEnv, string][] = [
    [{ XDG_STATE_HOME: '/s', HOME: '/h' }, '/s'],
    [{ XDG_STATE_HOME: 's', HOME: '/h' }, '/h/.local/state'],
    [{ HOME: '/' }, '/.local/state'],
    [{ HOME: '' }, registered],
    [{ HOME: 'h' }, registered],
    [{}, registered]
  ]
  for (const [env, expected] of cases) assert.equal(stateBase(env), expected, JSON.stringify(env))
  assert.ok(isAbsolute(registered))
})

test('with an empty HOME the state folder is not below the current folder', { skip: !posix }, () => {
  const env = { ...process.env, HOME: '', XDG_STATE_HOME: '' }
  const help = [main, 'keys', 'create', '--help']
  const { status, stdout } = spawnSync(process.execPath, help, { cwd: dir, env, encoding: 'utf8' })
  assert.deepEqual([status, /--state <folder>[^(]*\(default:\s+"\//.test(stdout)], [0, true], stdout)
})

const nobody = 54_321
const as = { cwd: '/', uid: nobody, gid: nobody }
function readable(): boolean {
  const look = `require('node:fs').accessSync(${JSON.stringify(main)})`
  return spawnSync(process.execPath, ['-e', look], as).status === 0
}
const noEntry = posix && process.getuid!() === 0 && spawnSync('id', ['-nu', String(nobody)]).status !== 0 && readable()
const skip = noEntry ? false : 'only root can become a user without an entry'
test('a user without a home can run what needs none, and is told what to name otherwise', { skip }, () => {
  const { HOME: _, XDG_STATE_HOME: __, ...env } = process.env
  const run = (...args: string[]): ReturnType<typeof spawnSync> =>
    spawnSync(process.execPath, [main, ...args], { ...as, env, encoding: 'utf8' })
  const help = run('keys', '--help')
  const list = run('keys', 'list')
  assert.equal(help.status, 0, String(help.stderr))
  assert.equal(list.status, 1)
  assert.match(String(list.stderr), /its path is empty\. Name a folder with --state/)
  assert.ok(!existsSync('/verit'))
})
