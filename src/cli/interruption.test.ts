import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'

/**
 * A process whose work ends with `status` after `times` interruptions; signals come one after the other. Its exit
 * status.
 */
async function interrupted(status: number, times: number, ...signals: NodeJS.Signals[]): Promise<number | null> {
  const script = `import { interruptible } from ${JSON.stringify(new URL('interruption.ts', import.meta.url).href)}
let left = ${times}, done
await interruptible(() => { process.stdout.write('!'); if (--left === 0) done() }, () => new Promise(resolve => {
  const alive = setInterval(() => {}, 1000)
  done = () => { clearInterval(alive); resolve() }
  process.stdout.write('ready')
}))
process.exitCode = ${status}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, _: '' }
  })
  for (const signal of signals) {
    await once(child.stdout, 'data')
    await setTimeout(500) // not the same one
    child.kill(signal)
  }
  const [code] = (await once(child, 'exit')) as [number | null]
  return code
}

test('an interrupted command ends with 128 and the number of the signal', async () => {
  const runs = [
    interrupted(130, 1, 'SIGINT'),
    interrupted(130, 1, 'SIGTERM'),
    interrupted(130, 1, 'SIGHUP'),
    interrupted(130, 2, 'SIGINT', 'SIGTERM'),
    interrupted(130, 1, 'SIGQUIT')
  ]
  assert.deepEqual(await Promise.all(runs), [130, 143, 129, 143, 131])
})

test('one Ctrl-C that comes twice, as under npm, is one', async () => {
  const twice = ['SIGINT', 'SIGINT'] as const
  const script = `import { interruptible } from ${JSON.stringify(new URL('interruption.ts', import.meta.url).href)}
let times = 0
await interruptible(() => void times++, () => new Promise(resolve => { setTimeout(resolve, 2000); process.stdout.write('ready') }))
process.exitCode = times`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  for (const signal of twice) {
    child.kill(signal)
    await setTimeout(20)
  }
  assert.deepEqual(await once(child, 'exit'), [1, null])
})

test('a command that had finished all the same keeps its status', async () => {
  assert.deepEqual(await Promise.all([interrupted(0, 1, 'SIGTERM'), interrupted(1, 1, 'SIGTERM')]), [0, 1])
})
