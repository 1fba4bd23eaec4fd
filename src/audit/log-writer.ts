/**
 * Writes a log in groups of entries. A group never crosses the end of a bundle. Its steps: append bytes to one file and
 * sync; write the tiles that became full; sign and write a checkpoint. The checkpoint is synced about once a second,
 * outside the path of answers: a power cut may bring back an older one, and entries beyond it are kept. A full bundle
 * gets its final name at the start of the next group. After a failure the file is truncated to the last good length
 * before the next attempt; until that succeeds, nothing is written.
 */
import { closeSync, constants, existsSync, fstatSync, ftruncateSync, lstatSync, openSync, writeSync } from 'node:fs'
import { open, rename, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { removeStaleTemporaries, writeFileAtomic } from '../lib/atomic-file.ts'
import { fileError } from '../lib/file-error.ts'
import { makeFolder } from '../lib/make-folder.ts'
import { replaceFile, syncFolder } from '../lib/replace-file.ts'
import { checkpointText } from '../trust/checkpoint.ts'
import { leafHash } from '../trust/merkle.ts'
import type { SignerKey } from '../trust/note-key.ts'
import { formatNote, signNote } from '../trust/signed-note.ts'
import { TILE_WIDTH, frameEntry, tilePath } from '../trust/tiles.ts'
import { bundlePath, checkpointPath, openBundlePath, syncedPath } from './log-files.ts'
import { recover } from './recover.ts'
import type { Recovered } from './recover.ts'
import type { FullTile, TileTree } from './tile-tree.ts'

/** A write that returns once its bytes are on disk: one call instead of two. Absent on some systems. */
const DURABLE = constants.O_DSYNC as number | undefined
const SYNC_EVERY_MS = 1000

export class LogWriter {
  #folder: string
  #signer: SignerKey
  #tree: TileTree
  #note: string
  #bundle: number
  /** Bytes of the bundle that are covered by the checkpoint. */
  #length: number
  #file: FileHandle | undefined
  /** Size and time of the last synced checkpoint; the running sync. */
  #synced = { size: -1, at: 0, note: '' }
  #syncing: Promise<void> | undefined
  #noteFile: number | undefined
  /** Tiles that a group wrote before it failed; undefined while all is well. */
  #failed: readonly FullTile[] | undefined

  private constructor(folder: string, signer: SignerKey, state: Recovered) {
    this.#folder = folder
    this.#signer = signer
    this.#tree = state.tree
    this.#note = state.note
    this.#bundle = state.bundle
    this.#length = state.length
  }

  /**
   * Opens the log of a folder whose lock this process holds. @param known a signed checkpoint that the log must
   * continue
   */
  static async open(
    folder: string,
    signer: SignerKey,
    known?: string
  ): Promise<{ writer: LogWriter; state: Recovered }> {
    const state = recover(folder, signer.verifier, known)
    removeStale(folder, state.bundle)
    const writer = new LogWriter(folder, signer, state)
    try {
      await writer.#openBundle()
      if (state.cut > 0 || state.tree.size > state.checkpoint.size) {
        await writer.#file!.datasync()
        await writer.#cover(state.tree, state.full)
      }
      await writer.#syncCheckpoint()
    } catch (e) {
      await writer.close()
      throw fileError(e, folder, 'write')
    }
    return { writer, state }
  }

  /** Entries covered by the checkpoint. */
  get size(): number {
    return this.#tree.size
  }

  /** The newest signed checkpoint. */
  get checkpoint(): string {
    return this.#note
  }

  /** The newest checkpoint that is on disk for certain. */
  get synced(): string {
    return this.#synced.note
  }

  /** How many entries the next group may have. */
  get room(): number {
    return TILE_WIDTH - (this.#tree.size % TILE_WIDTH)
  }

  /**
   * Appends a group of 1 to `room` entries. It resolves when they are on disk and covered by the checkpoint. @throws
   * errors of the file system
   */
  async write(entries: readonly Uint8Array[]): Promise<void> {
    if (this.#failed !== undefined) await this.#repair()
    if (this.#tree.size === (this.#bundle + 1) * TILE_WIDTH) await this.#roll()
    const { tree, full } = this.#tree.grow(entries.map(leafHash))
    const bytes = Buffer.concat(entries.map(frameEntry))
    this.#failed = full
    const file = this.#file!
    for (let done = 0; done < bytes.length;)
      done += (await file.write(bytes, done, bytes.length - done, this.#length + done)).bytesWritten
    if (DURABLE === undefined) await file.datasync()
    await this.#cover(tree, full)
    this.#failed = undefined
    this.#length += bytes.length
    if (performance.now() - this.#synced.at > SYNC_EVERY_MS)
      this.#syncing ??= this.#syncCheckpoint()
        .catch(() => undefined)
        .finally(() => (this.#syncing = undefined))
  }

  async close(): Promise<void> {
    await this.#syncing
    await this.#syncCheckpoint().catch(() => undefined)
    this.#closeNote()
    await this.#file?.close()
    this.#file = undefined
  }

  /** Signs for the durable entries. */
  async #cover(tree: TileTree, full: readonly FullTile[]): Promise<void> {
    for (const tile of full) {
      const path = this.#tilePath(tile)
      await this.#makeFolder(dirname(path))
      await replaceFile(path, tile.bytes)
    }
    const text = checkpointText(this.#signer.verifier.name, tree.size, tree.root())
    const note = formatNote({ text, signatures: [signNote(text, this.#signer)] })
    this.#writeNote(note)
    this.#tree = tree
    this.#note = note
  }

  /**
   * Overwrites some 200 bytes in one call: a rename would wait for the disk. Readers read twice (readNoteFile). If
   * someone replaced the file, the replacement is written.
   */
  #writeNote(note: string): void {
    const path = checkpointPath(this.#folder)
    const there = lstatSync(path, { throwIfNoEntry: false })
    if (this.#noteFile !== undefined && fstatSync(this.#noteFile).ino !== there?.ino) this.#closeNote()
    if (there === undefined) writeFileAtomic(path, note, { mode: 0o600 })
    this.#noteFile ??= openSync(path, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0))
    const length = writeSync(this.#noteFile, note, 0)
    if (there?.size !== length) ftruncateSync(this.#noteFile, length)
  }

  #closeNote(): void {
    if (this.#noteFile !== undefined) closeSync(this.#noteFile)
    this.#noteFile = undefined
  }

  async #syncCheckpoint(): Promise<void> {
    const [{ size }, note] = [this.#tree, this.#note]
    if (size === this.#synced.size) return
    this.#synced.at = performance.now()
    await replaceFile(syncedPath(this.#folder), note)
    Object.assign(this.#synced, { size, note })
  }

  /** Removes what a failed write may have left. */
  async #repair(): Promise<void> {
    if (this.#file === undefined) await this.#openBundle()
    await this.#file!.truncate(this.#length)
    await this.#file!.datasync()
    for (const tile of this.#failed ?? []) {
      await unlink(this.#tilePath(tile)).catch((e: unknown) => {
        if ((e as NodeJS.ErrnoException).code !== 'ENOENT') throw e
      })
    }
    this.#failed = undefined
  }

  /** Gives the full bundle its final name and begins the next. */
  async #roll(): Promise<void> {
    await this.#syncing
    await this.#syncCheckpoint() // that of the whole bundle is on disk before the name says that it is whole
    await rename(openBundlePath(this.#folder, this.#bundle), bundlePath(this.#folder, this.#bundle))
    const file = this.#file
    this.#file = undefined
    this.#bundle++
    this.#length = 0
    this.#failed = [] // until the next bundle is open
    await file?.close()
    await this.#repair()
  }

  async #openBundle(): Promise<void> {
    const path = openBundlePath(this.#folder, this.#bundle)
    await this.#makeFolder(dirname(path))
    const file = await open(
      path,
      constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0) | (DURABLE ?? 0),
      0o600
    )
    try {
      await syncFolder(dirname(path))
      if (this.#bundle > 0) await syncFolder(dirname(bundlePath(this.#folder, this.#bundle - 1)))
    } catch (e) {
      await file.close()
      throw e
    }
    this.#file = file
  }

  #tilePath(tile: FullTile): string {
    return join(this.#folder, tilePath({ level: tile.level, index: tile.index }))
  }

  async #makeFolder(folder: string): Promise<void> {
    const made = makeFolder(folder, { ownerOnly: true })
    for (let at = folder; made !== undefined; at = dirname(at)) {
      await syncFolder(dirname(at))
      if (at === made) break
    }
  }
}

/** Removes files that a killed writer left half written. */
function removeStale(folder: string, bundle: number): void {
  removeStaleTemporaries(folder)
  for (let level = 0, index = bundle; level < 4; level++, index = Math.floor(index / TILE_WIDTH)) {
    const tiles = dirname(join(folder, tilePath({ level, index })))
    if (existsSync(tiles)) removeStaleTemporaries(tiles)
  }
}
