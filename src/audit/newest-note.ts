/** Which of a log's two checkpoint files has the newer checkpoint. */
import { parseCheckpoint } from '../trust/checkpoint.ts'
import { parseNote } from '../trust/signed-note.ts'
import { checkpointPath, readNoteFile, syncedPath } from './log-files.ts'

/**
 * The newest checkpoint of a log that is written, its signatures unchecked. After a power cut, before the server has started again, the file `checkpoint`
 * may be empty or older than `checkpoint.synced`. Undefined where there is no such file.
 */
export function newestNote(folder: string): Buffer | undefined {
  const [newest, synced] = [checkpointPath(folder), syncedPath(folder)].map(readNoteFile)
  const empty = newest?.every(b => b === 0) === true
  const older = sizeOf(newest) >= 0 && sizeOf(synced) > sizeOf(newest)
  return synced !== undefined && (empty || older) ? synced : newest
}

/** Entries that a note covers; -1 where it is none. */
function sizeOf(note: Buffer | undefined): number {
  try {
    return note === undefined ? -1 : parseCheckpoint(parseNote(note, 'a checkpoint').text, 'a checkpoint').size
  } catch {
    return -1
  }
}
