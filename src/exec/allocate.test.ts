// own process: it measures the memory of its process
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addon, nativeExecutor } from './native.ts'

const MIB = 2 ** 20
const skip =
  process.platform !== 'linux' || addon() === undefined
    ? 'resident memory is looked at where the native library is, on Linux'
    : false

test('memory of which only parts are used takes no more than these, however they lie', { skip }, () => {
  const executor = nativeExecutor({ threads: 1 })!
  const before = process.memoryUsage.rss()
  const bytes = new Uint8Array(executor.allocate(512 * MIB, true))
  assert.equal(bytes.length, 512 * MIB)
  for (let i = 0; i < bytes.length; i += MIB) bytes[i] = 1
  assert.ok(process.memoryUsage.rss() < before + 64 * MIB)
})
