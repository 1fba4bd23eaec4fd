import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CompactRange, leafHash } from '../trust/merkle.ts'
import { tilePath } from '../trust/tiles.ts'
import { TileTree } from './tile-tree.ts'

test('a tree of 70,000 leaves fills the tiles of C2SP tlog-tiles and is the same after loading', () => {
  const files = new Map<string, Buffer>()
  const range = new CompactRange()
  let tree = TileTree.empty()
  const leaves = Array.from({ length: 70_000 }, (_, i) => leafHash(Buffer.from(String(i))))
  for (let at = 0; at < leaves.length; at += 256) {
    const some = leaves.slice(at, at + 256)
    for (const leaf of some) range.append(leaf)
    const grown = tree.grow(some)
    tree = grown.tree
    for (const { level, index, bytes } of grown.full) files.set(tilePath({ level, index }), bytes)
    if (at % 4096 !== 0 && at !== 65_280 && at < 69_000) continue
    const bundles = Math.floor(tree.size / 256)
    const loaded = TileTree.load(bundles, (level, index) => files.get(tilePath({ level, index }))!)
    assert.deepEqual(loaded.grow(leaves.slice(bundles * 256, tree.size)).tree.root(), range.root())
  }
  assert.deepEqual(tree.root(), range.root())
  // The example of the specification: 273 full tiles at level 0 and one partial of 112; one full at level 1 and one of
  // 17; one of 1 at level 2.
  assert.deepEqual(
    [0, 1].map(level => [...files.keys()].filter(path => path.startsWith(`tile/${level}/`)).length),
    [273, 1]
  )
  assert.deepEqual(
    [0, 1, 2].map(level => tree.open(level).length),
    [112, 17, 1]
  )
})
