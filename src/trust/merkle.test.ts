import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mth, path, proof } from '../../test/merkle-definition.ts'
import { CompactRange, consistencyProof, emptyRoot, inclusionProof, leafHash, nodeHash, rootOf } from './merkle.ts'
import type { NodeSource } from './merkle.ts'
import { verifyConsistency, verifyInclusion } from './merkle-verify.ts'

const MOST = 300
const leaves = Array.from({ length: MOST }, (_, i) => Buffer.from(`leaf ${i * i}`))
const hashes = leaves.map(leafHash)
const nodes = new Map<string, Uint8Array>()
const source: NodeSource = (level, index) => {
  if (level === 0) return hashes[index]!
  const label = `${level} ${index}`
  if (!nodes.has(label)) nodes.set(label, nodeHash(source(level - 1, 2 * index), source(level - 1, 2 * index + 1)))
  return nodes.get(label)!
}
/** Refuses nodes that a tree of this size does not have whole. */
const within =
  (size: number): NodeSource =>
  (level, index) => {
    assert.ok((index + 1) * 2 ** level <= size, `node ${level}/${index} is not whole in a tree of ${size}`)
    return source(level, index)
  }
const roots = Array.from({ length: MOST + 1 }, (_, n) => mth(leaves, 'a', 0, n))

test('the root of every tree of 0 to 300 leaves is what the definition says, whether it grows or is read', () => {
  const range = new CompactRange()
  for (let n = 0; n <= MOST; n++) {
    assert.deepEqual(Buffer.from(range.root()), roots[n])
    assert.deepEqual(Buffer.from(rootOf(n, within(n))), roots[n])
    if (n < MOST) range.append(hashes[n]!)
  }
})

test('every inclusion proof in trees of 1 to 300 leaves is the one of the definition, and holds', () => {
  for (let n = 1; n <= MOST; n++) {
    for (let m = 0; m < n; m++) {
      const made = inclusionProof(m, n, within(n))
      assert.deepEqual(made, path(m, leaves, 'a', 0, n))
      assert.ok(verifyInclusion(m, n, hashes[m]!, made, roots[n]!), `${m} in ${n}`)
    }
  }
})

test('every consistency proof between trees of 1 to 300 leaves is the one of the definition, and holds', () => {
  for (let n = 1; n <= MOST; n++) {
    for (let m = 1; m <= n; m++) {
      const made = consistencyProof(m, n, within(n))
      assert.deepEqual(made, proof(m, leaves, 'a', 0, n))
      assert.ok(verifyConsistency(m, n, roots[m]!, roots[n]!, made), `${m} to ${n}`)
    }
  }
})

/** Every way to spoil a proof: each hash changed, dropped or swapped with its neighbour, one added at each place. */
function* spoiled(good: readonly Uint8Array[]): Generator<Uint8Array[]> {
  for (let i = 0; i <= good.length; i++) {
    for (const extra of [roots[1]!, emptyRoot, ...(i < good.length ? [good[i]!] : [])])
      yield [...good.slice(0, i), extra, ...good.slice(i)]
    if (i === good.length) continue
    yield [...good.slice(0, i), ...good.slice(i + 1)]
    for (const bit of [0, 131, 255]) {
      const changed = Buffer.from(good[i]!)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      yield [...good.slice(0, i), changed, ...good.slice(i + 1)]
    }
    yield [...good.slice(0, i), good[i]!.subarray(0, 31), ...good.slice(i + 1)]
    if (i > 0) yield [...good.slice(0, i - 1), good[i]!, good[i - 1]!, ...good.slice(i + 1)]
  }
}

test('a proof with a hash changed, dropped, added or swapped, or for another place, size or root, fails', () => {
  let tried = 0
  for (let n = 1; n <= 66; n++) {
    for (let m = 0; m < n; m += n < 20 ? 1 : 7) {
      const good = inclusionProof(m, n, source)
      for (const bad of spoiled(good)) {
        assert.equal(verifyInclusion(m, n, hashes[m]!, bad, roots[n]!), false)
        tried++
      }
      for (const place of [m - 1, m + 1, n, -1, 0.5, NaN])
        assert.equal(verifyInclusion(place, n, hashes[m]!, good, roots[n]!), false)
      assert.equal(verifyInclusion(m, n, hashes[(m + 1) % MOST]!, good, roots[n]!), false)
      assert.equal(verifyInclusion(m, n, hashes[m]!, good, roots[n + 1]!), false)
    }
    for (let m = 1; m < n; m += n < 20 ? 1 : 7) {
      const good = consistencyProof(m, n, source)
      for (const bad of spoiled(good)) {
        assert.equal(verifyConsistency(m, n, roots[m]!, roots[n]!, bad), false)
        tried++
      }
      assert.equal(verifyConsistency(m, n, roots[m + 1]!, roots[n]!, good), false)
      assert.equal(verifyConsistency(m, n, roots[m]!, roots[n - 1]!, good), false)
      assert.equal(verifyConsistency(n, m, roots[n]!, roots[m]!, good), false)
    }
  }
  assert.ok(tried > 20_000)
})

test('from the empty tree, and to the same tree, the empty proof holds and nothing else', () => {
  assert.ok(verifyConsistency(0, 7, emptyRoot, roots[7]!, []))
  assert.ok(!verifyConsistency(0, 7, roots[1]!, roots[7]!, []))
  assert.ok(!verifyConsistency(0, 7, emptyRoot, roots[7]!, [roots[1]!]))
  assert.ok(verifyConsistency(7, 7, roots[7]!, roots[7]!, []))
  assert.ok(!verifyConsistency(7, 7, roots[6]!, roots[7]!, []))
  assert.ok(!verifyConsistency(0, 0, roots[1]!, roots[1]!, []))
  assert.deepEqual(consistencyProof(0, 9, source), [])
})

// Roots of the trees of these leaves: testdata of github.com/transparency-dev/merkle (Apache-2.0), used since the first
// logs of Certificate Transparency.
const published = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f'
].map(h => Buffer.from(h, 'hex'))

test('published roots and proofs are met', () => {
  const range = new CompactRange()
  const got = published.map(leaf => {
    range.append(leafHash(leaf))
    return Buffer.from(range.root()).toString('hex')
  })
  assert.deepEqual(got, [
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
    '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
    'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
    '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328'
  ])
  assert.equal(emptyRoot.toString('hex'), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  const bytes = (list: string[]): Buffer[] => list.map(h => Buffer.from(h, 'base64'))
  const [root6, root8, leaf5] = bytes([
    'duZ9rbzfHhDht03cYIq9L5jfsW+851J3tSMqEn8gh+8=',
    'XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=',
    'QnGia+DYqE8L1UyMMC58s6O10fpngKQLzOKHNHfatlg='
  ])
  assert.ok(
    verifyInclusion(
      5,
      8,
      leaf5!,
      bytes([
        'vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=',
        'yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=',
        '037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc='
      ]),
      root8!
    )
  )
  assert.ok(
    verifyConsistency(
      6,
      8,
      root6!,
      root8!,
      bytes([
        'DrxdNDf74tsVi58Sah0RjjCBgQMdCpSfje3t68VY72o=',
        'yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=',
        '037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc='
      ])
    )
  )
})

test('trees of up to 2^53 - 1 leaves have proofs, for all arithmetic stays exact', () => {
  // In a tree whose whole nodes all have one made-up hash a level, roots follow from the definition alone.
  const flat: NodeSource = level => leafHash(Buffer.from(`level ${level}`))
  const size = Number.MAX_SAFE_INTEGER
  const level = (l: number): Uint8Array => flat(l, 0)
  const proofOfLast = inclusionProof(size - 1, size, flat)
  assert.equal(proofOfLast.length, 52)
  assert.deepEqual(proofOfLast[0], level(1))
  assert.ok(verifyInclusion(size - 1, size, level(0), proofOfLast, rootOf(size, flat)))
  assert.ok(!verifyInclusion(size - 2, size, level(0), proofOfLast, rootOf(size, flat)))
})
