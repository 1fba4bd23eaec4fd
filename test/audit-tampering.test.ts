/**
 * Every kind of tampering with the folder of a log, or with an exported copy of it, is found and named by `verifyLog`
 * with the public key alone.
 */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { openAuditLog } from '../src/audit/audit-log.ts'
import { exportLog } from '../src/audit/export.ts'
import { openLogKey } from '../src/audit/log-key.ts'
import type { ProblemKind } from '../src/audit/problems.ts'
import { verifyLog } from '../src/audit/verify.ts'
import type { VerifyOptions } from '../src/audit/verify.ts'
import { addCosignature, cosign } from '../src/audit/witness.ts'
import { checkpointText } from '../src/trust/checkpoint.ts'
import { leafHash } from '../src/trust/merkle.ts'
import { NOTE_COSIGNATURE, NOTE_ED25519, newSignerKey, parseVerifierKey } from '../src/trust/note-key.ts'
import type { VerifierKey } from '../src/trust/note-key.ts'
import { formatNote, signNote } from '../src/trust/signed-note.ts'
import { frameEntry, splitBundle } from '../src/trust/tiles.ts'
import { requestEntry } from './audit-entries.ts'

const root = mkdtempSync(join(tmpdir(), 'verit-tamper-'))
const original = join(root, 'original')
const exported = join(root, 'exported')
const at300 = join(root, 'at300')
let key: VerifierKey
const older: string[] = []

before(async () => {
  let log = await openAuditLog(original, { origin: 'verit.test/log' })
  key = parseVerifierKey(log.verifierKey)
  let n = 0
  const grow = async (to: number): Promise<void> => {
    await Promise.all(Array.from({ length: to - n }, () => log.append(requestEntry(n++))))
    older.push(log.checkpoint())
  }
  await grow(100)
  await grow(300)
  await log.close()
  cpSync(original, at300, { recursive: true })
  log = await openAuditLog(original)
  await grow(600)
  await log.close()
  exportLog(original, exported)
})
after(() => rmSync(root, { recursive: true }))

let cases = 0
/** Applies `damage` to a copy; gives the problems found. */
async function found(
  damage: (folder: string) => unknown,
  options: VerifyOptions = {},
  from = original
): Promise<{ kind: ProblemKind; index?: number; file?: string }[]> {
  const folder = join(root, `case${cases++}`)
  cpSync(from, folder, { recursive: true })
  chmodSync(folder, 0o700)
  await damage(folder)
  const { problems } = await verifyLog(folder, { key, ...options })
  rmSync(folder, { recursive: true })
  return problems.map(({ kind, index, file }) => ({
    kind,
    ...(index === undefined ? {} : { index }),
    ...(file === undefined ? {} : { file })
  }))
}

/** Rewrites the entries of a bundle. */
function rewrite(folder: string, name: string, change: (entries: Buffer[]) => Buffer[]): void {
  const path = join(folder, 'tile/entries', name)
  writeFileSync(path, Buffer.concat(change(splitBundle(readFileSync(path)).entries).map(frameEntry)))
}
const edited = (entry: Buffer): Buffer => Buffer.from(entry.toString().replace('"status":200', '"status":403'))
const swapped = (list: Buffer[], i: number): Buffer[] => list.with(i, list[i + 1]!).with(i + 1, list[i]!)

test('a log and its export that nobody touched have no problems, and continue every older checkpoint', async () => {
  for (const folder of [original, exported]) {
    const result = await verifyLog(folder, { key, older })
    assert.deepEqual([result.problems, result.size, result.continued, result.uncovered], [[], 600, 3, 0])
  }
  assert.deepEqual(await found(() => 0, { older: older.slice(0, 2) }, at300), [])
})

test('entries edited, deleted, inserted or reordered in a full bundle are found at their index', async () => {
  const file = 'tile/entries/001'
  assert.deepEqual(await found(f => rewrite(f, '001', e => e.with(7, edited(e[7]!)))), [
    { kind: 'edited', file, index: 263 }
  ])
  assert.deepEqual(await found(f => rewrite(f, '001', e => e.toSpliced(7, 1))), [
    { kind: 'truncated', file, index: 511 },
    { kind: 'deleted', file, index: 263 }
  ])
  assert.deepEqual(
    await found(f => rewrite(f, '001', e => [...e.toSpliced(7, 1), e[0]!])).then(p =>
      p.find(x => x.kind === 'deleted')
    ),
    { kind: 'deleted', file, index: 263 }
  )
  assert.deepEqual(
    await found(f => rewrite(f, '001', e => e.toSpliced(7, 0, edited(e[7]!)))).then(p => p.map(x => x.kind)),
    ['torn', 'inserted']
  )
  assert.deepEqual(await found(f => rewrite(f, '001', e => e.toSpliced(7, 0, edited(e[7]!)).slice(0, 256))), [
    { kind: 'inserted', file, index: 263 }
  ])
  assert.ok(
    (await found(f => rewrite(f, '001', e => swapped(e, 7)))).some(p => p.kind === 'reordered' && p.index === 263)
  )
})

test("an entry in the last bundle, which has no tile in the log's own folder, is found all the same", async () => {
  for (const change of [
    (e: Buffer[]) => e.with(3, edited(e[3]!)),
    (e: Buffer[]) => swapped(e, 3),
    (e: Buffer[]) => e.with(3, e[4]!)
  ]) {
    const problems = await found(f => rewrite(f, '002.open', change))
    assert.ok(
      problems.some(p => p.kind === 'edited' && p.index === 512 && p.file === 'tile/entries/002'),
      JSON.stringify(problems)
    )
  }
  // In an export it has one.
  assert.deepEqual(await found(f => rewrite(f, '002.p/88', e => e.with(3, edited(e[3]!))), {}, exported), [
    { kind: 'edited', file: 'tile/entries/002.p/88', index: 515 }
  ])
})

test('entries and their tiles changed together are found by the signed root', async () => {
  const problems = await found(
    f => {
      rewrite(f, '000', e => e.with(9, edited(e[9]!)))
      const tile = readFileSync(join(f, 'tile/0/000'))
      leafHash(splitBundle(readFileSync(join(f, 'tile/entries/000'))).entries[9]!).copy(tile, 9 * 32)
      writeFileSync(join(f, 'tile/0/000'), tile)
    },
    { older }
  )
  assert.ok(problems.some(p => p.kind === 'edited'))
  assert.equal(problems.filter(p => p.kind === 'root').length, 3, 'none of the older checkpoints is continued')
})

test('a truncated log is found by its checkpoint, or by an older one if the checkpoint was set back', async () => {
  assert.deepEqual(await found(f => rewrite(f, '002.open', e => e.slice(0, 80))), [
    { kind: 'truncated', file: 'tile/entries/002.open', index: 592 }
  ])
  assert.deepEqual(await found(f => rmSync(join(f, 'tile/entries/002.open'))), [
    { kind: 'truncated', file: 'tile/entries/002', index: 512 }
  ])
  assert.deepEqual(await found(f => rmSync(join(f, 'tile/entries/001'))), [
    { kind: 'truncated', file: 'tile/entries/001', index: 256 }
  ])
  assert.deepEqual(await found(() => 0, { older }, at300), [{ kind: 'rollback', index: 300 }])
  assert.deepEqual(
    await found(f => writeFileSync(join(f, 'checkpoint'), older[1]!), { older }).then(p => p.map(x => x.kind)),
    ['inserted', 'rollback', 'foreign-file', 'foreign-file', 'foreign-file']
  )
})

test(
  'a fork by the holder of the signing key is found with an older checkpoint, larger, equal or ' + 'smaller',
  async () => {
    for (const size of [301, 600, 700]) {
      const problems = await found(
        async folder => {
          const log = await openAuditLog(folder)
          await Promise.all(Array.from({ length: size - 300 }, (_, i) => log.append(requestEntry(100_000 + i))))
          await log.close()
        },
        { older },
        at300
      )
      assert.deepEqual(
        problems.map(p => p.kind),
        [size < 600 ? 'rollback' : 'fork']
      )
    }
    // Without an older checkpoint from elsewhere it cannot be found: this is what docs/internals/audit-log.md says.
    assert.deepEqual(await found(() => 0, {}, at300), [])
  }
)

test('another key, a changed signature and a checkpoint that is none are told apart', async () => {
  const stranger = newSignerKey('verit.test/log', NOTE_ED25519)
  const text = older[2]!.slice(0, older[2]!.indexOf('\n\n') + 1)
  const resigned = formatNote({ text, signatures: [signNote(text, stranger)] })
  const kinds = async (note: string): Promise<ProblemKind[]> =>
    (await found(f => writeFileSync(join(f, 'checkpoint'), note))).map(p => p.kind)
  assert.deepEqual(await kinds(resigned), ['wrong-key'])
  assert.deepEqual(
    (await found(() => 0, { key: stranger.verifier })).map(p => p.kind),
    ['wrong-key']
  )
  assert.deepEqual(await kinds(older[2]!.replace(/^600$/m, '599')), ['signature', 'edited'])
  assert.deepEqual(
    (await found(f => writeFileSync(join(f, 'checkpoint'), 'nonsense'))).map(p => p.kind),
    ['checkpoint']
  )
  assert.deepEqual(
    (await found(f => rmSync(join(f, 'checkpoint')))).map(p => p.kind),
    ['checkpoint']
  )
  assert.deepEqual(
    (await found(() => 0, { older: [resigned] })).map(p => p.kind),
    ['wrong-key']
  )
})

test('tiles missing, changed or shortened, and bundles torn, are found', async () => {
  const flip = (path: string, at: number): void => {
    const bytes = readFileSync(path)
    bytes[at]! ^= 1
    writeFileSync(path, bytes)
  }
  assert.deepEqual(await found(f => rmSync(join(f, 'tile/0/001'))), [{ kind: 'missing-tile', file: 'tile/0/001' }])
  assert.deepEqual(await found(f => flip(join(f, 'tile/0/001'), 64)), [
    { kind: 'changed-tile', file: 'tile/0/001', index: 258 }
  ])
  assert.deepEqual(await found(f => writeFileSync(join(f, 'tile/0/001'), '')), [
    { kind: 'changed-tile', file: 'tile/0/001' }
  ])
  assert.deepEqual(await found(f => rmSync(join(f, 'tile/1/000.p/2')), {}, exported), [
    { kind: 'missing-tile', file: 'tile/1/000.p/2' }
  ])
  assert.deepEqual(await found(f => flip(join(f, 'tile/1/000.p/2'), 0), {}, exported), [
    { kind: 'changed-tile', file: 'tile/1/000.p/2' }
  ])
  assert.deepEqual(await found(f => flip(join(f, 'tile/0/002.p/88'), 0), {}, exported), [
    { kind: 'changed-tile', file: 'tile/0/002.p/88', index: 512 }
  ])
  assert.deepEqual(
    (await found(f => appendFileSync(join(f, 'tile/entries/000'), 'x'))).map(p => [p.kind, p.index]),
    [['torn', 256]]
  )
  assert.ok(
    (
      await found(f =>
        writeFileSync(join(f, 'tile/entries/000'), readFileSync(join(f, 'tile/entries/000')).subarray(0, -1))
      )
    ).some(p => p.kind === 'torn' && p.index === 255)
  )
})

test('files that do not belong, and links, are found', async () => {
  for (const path of [
    'notes',
    'tile/0/002',
    'tile/entries/002',
    'tile/0/000.p/3',
    'tile/7/000',
    'tile/entries/003.open',
    'tile/0/0',
    'salts/x',
    'salts/2030-01-01/x'
  ]) {
    const problems = await found(f => {
      mkdirSync(join(f, path, '..'), { recursive: true })
      assert.ok(!existsSync(join(f, path)))
      cpSync(join(f, 'tile/entries/002.open'), join(f, path))
    })
    assert.ok(
      problems.some(p => p.kind === 'foreign-file'),
      path
    )
  }
  assert.ok(
    (
      await found(f => {
        renameSync(join(f, 'tile/0/000'), join(root, 'elsewhere'))
        symlinkSync(join(root, 'elsewhere'), join(f, 'tile/0/000'))
      })
    ).some(p => p.kind === 'foreign-file' && p.file === 'tile/0/000')
  )
  assert.deepEqual(await found(f => writeFileSync(join(f, 'key'), 'x'), {}, exported), [
    { kind: 'foreign-file', file: 'key' }
  ])
})

test('malformed or unordered entries are found even if the holder of the key signed them', async () => {
  const bad = async (entries: Buffer[]): Promise<ProblemKind[]> => {
    const folder = join(root, `case${cases++}`)
    await (await openAuditLog(folder, { origin: 'verit.test/log' })).close()
    const signer = openLogKey(folder, '')
    mkdirSync(join(folder, 'tile/entries'), { recursive: true })
    writeFileSync(join(folder, 'tile/entries/000.open'), Buffer.concat(entries.map(frameEntry)))
    const { TileTree } = await import('../src/audit/tile-tree.ts')
    const text = checkpointText(
      'verit.test/log',
      entries.length,
      TileTree.empty().grow(entries.map(leafHash)).tree.root()
    )
    writeFileSync(join(folder, 'checkpoint'), formatNote({ text, signatures: [signNote(text, signer)] }))
    return (await verifyLog(folder)).problems.map(p => p.kind)
  }
  const [a, b] = splitBundle(readFileSync(join(original, 'tile/entries/000'))).entries as [Buffer, Buffer]
  const earlier = Buffer.from(b.toString().replace(/"time":"..../, '"time":"1999'))
  assert.deepEqual(await bad([a, b]), [])
  assert.deepEqual(await bad([a, earlier]), ['time-order'])
  for (const text of [
    '',
    '{}',
    '[]',
    'x',
    a.toString().replace(':', ': '),
    a.toString().replace('"ms"', '"mss"'),
    a.toString().replace('{', '{"ms":1,'),
    '{"type":"x"}'
  ]) {
    assert.deepEqual(await bad([Buffer.from(text)]), ['entry'], text)
  }
  assert.deepEqual(await bad([Buffer.of(0xff, 0xfe)]), ['entry'])
})

test('a witness cosigns what continues the last it saw, and its cosignature is asked for', async () => {
  const witness = newSignerKey('witness.test/w1', NOTE_COSIGNATURE)
  const lastFile = join(root, 'witness-last')
  const { proveConsistency } = await import('../src/audit/proofs.ts')
  const ask = (note: string, proof?: string): string =>
    cosign({
      note,
      source: 'a test',
      log: key,
      witness,
      lastFile,
      time: 1_800_000_000,
      ...(proof === undefined ? {} : { proof })
    })
  const first = ask(older[0]!)
  assert.match(first, /^— witness\.test\/w1 /m)
  assert.throws(() => ask(older[2]!), /no proof/)
  assert.throws(() => ask(older[2]!, proveConsistency(original, 300)), /not one of consistency with 100/)
  const good = proveConsistency(original, 100)
  assert.throws(
    () => ask(older[2]!, good.replace(/\n([A-Za-z0-9+/]{43}=)\n([A-Za-z0-9+/]{43}=)\n/, '\n$2\n$1\n')),
    /the proof is invalid/
  )
  const cosigned = ask(older[2]!, good)
  assert.throws(() => ask(older[1]!), /set back/)
  const signer = openLogKey(original, '')
  const forged = checkpointText('verit.test/log', 600, Buffer.alloc(32))
  assert.throws(() => ask(formatNote({ text: forged, signatures: [signNote(forged, signer)] })), /different histories/)
  assert.deepEqual(
    (await found(() => 0, { witnesses: [witness.verifier] })).map(p => p.kind),
    ['witness']
  )
  assert.deepEqual(await found(f => addCosignature(f, key, cosigned, 'a test'), { witnesses: [witness.verifier] }), [])
  assert.deepEqual(
    (
      await found(
        f =>
          writeFileSync(
            join(f, 'cosigned'),
            addCosignature(f, key, cosigned, 'a test').replace(/(— witness\.test\/w1 .{40})./, '$1/')
          ),
        { witnesses: [witness.verifier] }
      )
    ).map(p => p.kind),
    ['signature', 'witness']
  )
  assert.throws(() => addCosignature(original, key, older[2]!, 'a test'), /no cosignature/)
})

test('no bit of an exported log can be changed, and no file cut or removed, unnoticed', async () => {
  const files = readdirSync(exported, { recursive: true, encoding: 'utf8' }).filter(path =>
    statSync(join(exported, path)).isFile()
  )
  const copy = join(root, 'flipped')
  cpSync(exported, copy, { recursive: true })
  const isFound = async (what: string): Promise<void> =>
    assert.notDeepEqual((await verifyLog(copy, { key })).problems, [], what)
  const cases = fc.record({
    file: fc.constantFrom(...files),
    place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    bit: fc.nat(7),
    how: fc.constantFrom('flip', 'cut', 'remove', 'extend')
  })
  await fc.assert(
    fc.asyncProperty(cases, async ({ file, place, bit, how }) => {
      const path = join(copy, file)
      const good = readFileSync(path)
      const at = Math.floor(place * good.length)
      if (how === 'remove') rmSync(path)
      else
        writeFileSync(
          path,
          how === 'flip'
            ? good.with(at, good[at]! ^ (1 << bit))
            : how === 'cut'
              ? good.subarray(0, at)
              : Buffer.concat([good, good.subarray(at)])
        )
      await isFound(`${how} ${file} ${at} ${bit}`)
      writeFileSync(path, good)
    }),
    { numRuns: 80 }
  )
  assert.deepEqual((await verifyLog(copy, { key })).problems, [])
})
