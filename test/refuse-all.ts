/** Runs refuse-hyperparameters.ts, which measures the memory of a process of its own. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Refused without so much as this. */
const MOST_BYTES = 64 * 2 ** 20

/** @param every takes every so many-th value only. @param least files at least that are refused */
export function refuseAll(every: number, least: number): void {
  const child = fileURLToPath(new URL('refuse-hyperparameters.ts', import.meta.url))
  const args = ['--max-old-space-size=64', '--max-semi-space-size=1', child, String(every)]
  const { refused, problems, grown } = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }))
  assert.deepEqual(problems, [])
  assert.ok(refused >= least, `${refused} files`)
  assert.ok(grown < MOST_BYTES, `${grown} bytes`)
}
