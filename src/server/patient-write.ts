/** Writes to a client that may read slowly: waits while it reads, and gives up when it does not read. */
import type { ServerResponse } from 'node:http'

/**
 * Resolves when more can be written, or the client is gone.
 * @param slowMs a client that reads nothing for this long is disconnected
 */
export async function writePatiently(raw: ServerResponse, chunk: string | Uint8Array, slowMs: number): Promise<void> {
  if (raw.destroyed || raw.write(chunk)) return
  await new Promise<void>(resolve => {
    const timer = setTimeout(() => raw.destroy(), slowMs)
    const done = (): void => {
      clearTimeout(timer)
      raw.off('drain', done).off('close', done)
      resolve()
    }
    raw.on('drain', done).on('close', done)
  })
}
