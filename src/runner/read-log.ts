/**
 * The lines that a runner writes to standard error, within limits: a process that writes without end waits on its own
 * pipe.
 */
import type { Readable } from 'node:stream'
import { printable } from '../lib/printable.ts'

/** Lines of one process; further ones are read and dropped. */
const LINES = 200
/** Characters of a line. */
const LONGEST = 1000
/** Bytes that are read in a second, up to one chunk more. */
const BYTES_PER_SECOND = 64 << 10

/** @param onLine takes a line, escaped and cut to 1,000 characters */
export function readLog(stderr: Readable, onLine: (line: string) => void): void {
  let rest = ''
  let lines = 0
  let bytes = 0
  const emit = (line: string): void => {
    if (++lines <= LINES && line !== '') onLine(printable(line, LONGEST))
  }
  const take = (text: string): void => {
    let start = 0
    for (let end = text.indexOf('\n'); end >= 0 && lines < LINES; end = text.indexOf('\n', start)) {
      emit(rest + text.slice(start, Math.min(end, start + 4 * LONGEST)))
      rest = ''
      start = end + 1
    }
    rest = lines < LINES ? (rest + text.slice(start, start + 4 * LONGEST)).slice(0, 4 * LONGEST) : ''
  }
  const wait = (): void => {
    stderr.pause()
    setTimeout(() => {
      bytes = 0
      stderr.resume()
    }, 1000).unref()
  }
  stderr
    .setEncoding('utf8')
    .on('data', (text: string) => {
      if (lines < LINES) take(text)
      if ((bytes += text.length) >= BYTES_PER_SECOND) wait()
    })
    .on('end', () => emit(rest))
    .on('error', () => undefined)
}
