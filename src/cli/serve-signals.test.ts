import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

const dir = mkdtempSync(join(tmpdir(), 'verit-signals-'))
after(() => rmSync(dir, { recursive: true }))
const url = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href)

/** A start that goes on until a signal ends it, and then writes the status it would end with. */
const program = join(dir, 'start.mjs')
writeFileSync(
  program,
  `import { writeFileSync } from 'node:fs'
import { createLog } from ${url('../lib/log.ts')}
import { ServeSignals } from ${url('serve-signals.ts')}
const signals = new ServeSignals(createLog({ json: true }), 1)
const alive = setInterval(() => undefined, 1000)
signals.starting.addEventListener('abort', () => {
  clearInterval(alive)
  writeFileSync(process.argv[2], String(signals.status))
})
writeFileSync(process.argv[2] + '.pid', String(process.pid))`
)
const comes = async (file: string): Promise<string> => {
  while (!existsSync(file) || readFileSync(file, 'utf8') === '') await sleep(10)
  return readFileSync(file, 'utf8')
}

test('SIGHUP ends nothing, SIGTERM does', { skip: process.platform === 'win32' }, async () => {
  const file = join(dir, 'killed')
  const child = spawn(process.execPath, [program, file], { stdio: ['ignore', 'inherit', 'pipe'] })
  await comes(`${file}.pid`)
  child.kill('SIGHUP')
  assert.match(String(await once(child.stderr, 'data')), /"signal":"SIGHUP"/)
  assert.ok(!existsSync(file))
  child.kill('SIGTERM')
  assert.equal(await comes(file), '143')
})

const { stdout } = spawnSync('script', ['--version'], { encoding: 'utf8' })
const skip = stdout?.includes('util-linux') === true ? false : 'script (util-linux) is not here'
test('the SIGHUP of a terminal that has closed does', { skip }, async () => {
  const file = join(dir, 'hung up')
  const line = `exec ${process.execPath} '${program}' '${file}'`
  const terminal = spawn('script', ['-qec', line, '/dev/null'], { stdio: ['ignore', 'ignore', 'inherit'] })
  await comes(`${file}.pid`)
  terminal.kill('SIGKILL')
  assert.equal(await comes(file), '129')
})
