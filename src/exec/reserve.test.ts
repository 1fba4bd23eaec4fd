// own process: it measures the memory of its process
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { addon } from './native.ts'
import { Reserve } from './reserve.ts'

const idle =
  process.platform !== 'linux' || addon() === undefined
    ? 'there are reserves where the native library is, on Linux'
    : false
const MIB = 2 ** 20

test('the rest of what is taken is made ready, too, and no more than that', { skip: idle }, async () => {
  const before = process.memoryUsage.rss()
  const grown = (): number => process.memoryUsage.rss() - before
  const reserve = new Reserve(200 * MIB)
  const memory = reserve.take(220 * MIB)!
  assert.equal(memory.byteLength, 250 * MIB)
  for (let waited = 0; grown() < 215 * MIB && waited < 20_000; waited += 20) await setTimeout(20)
  assert.ok(grown() >= 215 * MIB && grown() < 240 * MIB)
  memory.transfer(0)
  for (let waited = 0; grown() > 20 * MIB && waited < 20_000; waited += 20) await setTimeout(20)
})

test('a reserve is given away once, zeroed and in part ready, to who has use for it', { skip: idle }, async () => {
  const before = process.memoryUsage.rss()
  const reserve = new Reserve(200 * MIB)
  for (let waited = 0; process.memoryUsage.rss() < before + 160 * MIB && waited < 20_000; waited += 20)
    await setTimeout(20)
  assert.ok(process.memoryUsage.rss() >= before + 160 * MIB)
  const memory = reserve.take(180 * MIB)!
  assert.ok(memory.byteLength >= 180 * MIB)
  const bytes = new Uint8Array(memory)
  assert.ok(bytes.subarray(0, MIB).every(b => b === 0) && bytes.at(-1) === 0)
  assert.equal(reserve.take(180 * MIB), undefined)
})

test(
  'weights that are much smaller than the file, or larger than the reserve, take other memory',
  { skip: idle },
  () => {
    for (const bytes of [100 * MIB, 400 * MIB]) {
      const reserve = new Reserve(200 * MIB)
      assert.equal(reserve.take(bytes), undefined)
      assert.equal(reserve.take(180 * MIB), undefined, 'who asks first is the weights')
    }
  }
)

test('what nobody has use for is given back to the system soon, ready or not', { skip: idle }, async () => {
  const before = process.memoryUsage.rss()
  for (const wait of [0, 1, 100]) {
    const reserve = new Reserve(400 * MIB)
    assert.ok(reserve.bytes >= 400 * MIB)
    await setTimeout(wait)
    reserve.drop()
    assert.equal(reserve.bytes, 0)
    assert.equal(reserve.take(400 * MIB), undefined)
  }
  for (let waited = 0; process.memoryUsage.rss() > before + 100 * MIB && waited < 20_000; waited += 20)
    await setTimeout(20)
  assert.ok(process.memoryUsage.rss() < before + 100 * MIB)
})

test('nothing is reserved for a small file, nor for one larger than memory', () => {
  assert.equal(new Reserve(MIB).take(MIB), undefined)
  assert.equal(new Reserve(2 ** 50).take(2 ** 50), undefined)
  assert.equal(new Reserve(200 * MIB, 300 * MIB).take(200 * MIB), undefined, 'no more than half of what is free')
})
