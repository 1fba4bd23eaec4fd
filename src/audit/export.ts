/**
 * Copies a log, as far as its checkpoint reaches, into a folder that any web server can offer: checkpoint, hash tiles
 * and entry bundles, with partial ones, as C2SP tlog-tiles lays them out; without keys, salts or texts.
 */
import { cpSync, existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { AtomicFile, writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { makeFolder } from '../lib/make-folder.ts'
import { TILE_WIDTH, frameEntry, tilePath } from '../trust/tiles.ts'
import { checkpointPath, cosignedPath, readNoteFile } from './log-files.ts'
import { NodeReader, readCheckpoint, readEntries } from './reader.ts'

type OnProgress = (done: number, total: number) => void

/**
 * Exports the log in `folder` to the new or empty folder `out`; gives the number of entries. @throws VeritError
 * VERIT_FILE_EXISTS, VERIT_AUDIT_DAMAGED
 */
export function exportLog(folder: string, out: string, onProgress?: OnProgress): number {
  const {
    checkpoint: { size },
    note
  } = readCheckpoint(folder)
  if (existsSync(out) && readdirSync(out).length > 0) throw new VeritError('VERIT_FILE_EXISTS', { path: out })
  try {
    const nodes = new NodeReader(folder, size)
    for (let level = 0; TILE_WIDTH ** level <= size; level++) {
      const width = Math.floor(size / TILE_WIDTH ** level)
      const full = Math.floor(width / TILE_WIDTH)
      for (let index = 0; index < full; index++) {
        copy(folder, out, tilePath({ level, index }))
        if (level === 0) copy(folder, out, tilePath({ level: 'entries', index }))
        onProgress?.(index * TILE_WIDTH, size)
      }
      const rest = width % TILE_WIDTH
      if (rest > 0)
        put(
          out,
          tilePath({ level, index: full, width: rest }),
          Buffer.concat(Array.from({ length: rest }, (_, i) => nodes.node(8 * level, full * TILE_WIDTH + i)))
        )
    }
    const rest = size % TILE_WIDTH
    if (rest > 0) {
      const entries = [...readEntries(folder, { from: size - rest, to: size })]
      put(
        out,
        tilePath({ level: 'entries', index: Math.floor(size / TILE_WIDTH), width: rest }),
        Buffer.concat(entries.map(e => frameEntry(e.bytes)))
      )
    }
    makeFolder(out)
    const cosigned = readNoteFile(cosignedPath(folder))
    if (cosigned !== undefined) writeFileAtomic(cosignedPath(out), cosigned)
    writeFileAtomic(checkpointPath(out), note) // last: an export that was interrupted is none
  } catch (e) {
    throw VeritError.is(e) ? e : fileError(e, out, 'write')
  }
  return size
}

/** Exports the entries alone, one JSON line `{"index":0,"entry":{...}}` each; gives their number. */
export function exportLines(folder: string, out: string, onProgress?: OnProgress): number {
  const { size } = readCheckpoint(folder).checkpoint
  using file = new AtomicFile(out, { mode: 0o600, overwrite: false })
  for (const { index, bytes } of readEntries(folder, { to: size, onProgress: done => onProgress?.(done, size) })) {
    file.write(Buffer.concat([Buffer.from(`{"index":${index},"entry":`), bytes, Buffer.from('}\n')]))
  }
  file.commit()
  return size
}

/** Full tiles and bundles never change, so they are copied. The last full bundle may still lack its final name. */
function copy(folder: string, out: string, path: string): void {
  makeFolder(dirname(join(out, path)))
  const from = [path, `${path}.open`].map(name => join(folder, name)).find(name => existsSync(name))
  if (from === undefined)
    throw new VeritError('VERIT_AUDIT_DAMAGED', { file: join(folder, path), problem: 'it is missing' })
  cpSync(from, join(out, path), { errorOnExist: true, force: false })
}

function put(out: string, path: string, bytes: Buffer): void {
  makeFolder(dirname(join(out, path)))
  writeFileAtomic(join(out, path), bytes)
}
