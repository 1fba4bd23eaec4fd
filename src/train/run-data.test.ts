import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { digestBytes } from '../trust/digest.ts'
import { dataPlace, findData } from './run-data.ts'

const root = mkdtempSync(join(tmpdir(), 'verit-run-data-'))
after(() => rmSync(root, { recursive: true }))

/** A folder with a manifest. @returns its digest */
function dataset(folder: string, content: string): string {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'manifest.json'), content)
  return digestBytes(content)
}

test('a run finds the dataset in its own folder after it was moved', () => {
  const [run, moved] = [join(root, 'run'), join(root, 'moved')]
  const digest = dataset(join(run, 'data'), 'one')
  const place = dataPlace(run, join(run, 'data'))
  assert.deepEqual(place, { data: 'data' })
  assert.equal(findData(run, place, digest), join(run, 'data'))
  renameSync(run, moved)
  assert.equal(findData(moved, place, digest), join(moved, 'data'))
  // as earlier versions wrote it
  assert.equal(findData(moved, { data: join(run, 'data') }, digest), join(moved, 'data'))
})

test('a dataset elsewhere is found where it was, and after both were moved together', () => {
  const old = join(root, 'project')
  const digest = dataset(join(old, 'data/book'), 'two')
  const place = dataPlace(join(old, 'runs/book'), join(old, 'data/book'))
  assert.deepEqual(place, { data: join(old, 'data/book'), nearby: '../../data/book' })
  assert.equal(findData(join(root, 'anywhere'), place, digest), join(old, 'data/book'))
  renameSync(old, join(root, 'project2'))
  assert.equal(findData(join(root, 'project2/runs/book'), place, digest), join(root, 'project2/data/book'))
})

test('of several datasets the one with the right digest counts; the error without one has a command', () => {
  const run = join(root, 'my run')
  const digest = dataset(join(run, 'data'), 'right')
  dataset(join(root, 'other'), 'wrong')
  assert.equal(findData(run, { data: join(root, 'other') }, digest), join(run, 'data'))
  rmSync(join(run, 'data'), { recursive: true })
  assert.equal(findData(run, { data: join(root, 'other') }, digest), join(root, 'other'))
  assert.throws(
    () => findData(run, { data: join(root, 'gone') }, digest),
    (e: unknown) => VeritError.is(e, 'VERIT_RESUME_DATA') && e.next.endsWith(`train DATASET --resume '${run}'`)
  )
})
