/**
 * Handling of failing standard streams. Without it, the first failed write would end a command with an exception.
 * Standard error carries progress and notes: losing them ends nothing. Standard output is the result: without a reader
 * the command ends quietly, and another failure is an error. The log of a server has its own writer (log-output.ts).
 */
import { readSync } from 'node:fs'
import { VeritError } from './errors.ts'
import { fileError } from './file-error.ts'

/** Until the next attempt to read, in ms, where standard input has nothing yet. */
const PAUSE_MS = 10
const CHUNK = 1 << 16

/** Call once, before the first write. */
export function guardStandardStreams(): void {
  process.stderr.on('error', () => undefined)
  const terminal = process.stdout.isTTY
  process.stdout.on('error', (e: NodeJS.ErrnoException) => {
    // The reader has gone (`verit ... | head`), or the terminal has.
    if (e.code === 'EPIPE' || (terminal && e.code === 'EIO')) process.exit()
    const error = fileError(e, 'standard output', 'write')
    process.stderr.write(VeritError.is(error) ? `verit: ${error.message} [${error.code}]\n` : `verit: ${e.message}\n`)
    process.exit(1)
  })
}

/**
 * All of standard input. Waits where the descriptor does not block and has nothing yet (EAGAIN), as a pipe or
 * terminal that another program has set so.
 * @throws VeritError VERIT_FILE_IO
 */
export function readStandardInput(): Buffer {
  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  const chunks: Buffer[] = []
  for (;;) {
    const chunk = Buffer.alloc(CHUNK)
    try {
      const n = readSync(0, chunk)
      if (n === 0) return Buffer.concat(chunks)
      chunks.push(chunk.subarray(0, n))
    } catch (e) {
      const { code } = e as NodeJS.ErrnoException
      if (code === 'EOF') return Buffer.concat(chunks) // Windows
      if (code !== 'EAGAIN') throw fileError(e, 'standard input', 'read')
      Atomics.wait(sleeper, 0, 0, PAUSE_MS)
    }
  }
}
