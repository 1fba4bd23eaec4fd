/** Server-sent events as OpenAI's API uses them: the data of each event, one after the other. */
import { VeritError } from '../lib/errors.ts'

/** Longest line that is held. */
const LIMIT = 16 << 20

/**
 * Gives the data of each event of a response; comments and other fields are skipped. @throws VeritError VERIT_ANSWER
 * for a line without end
 */
export async function* serverEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let held = ''
  for await (const chunk of body) {
    const lines = (held + decoder.decode(chunk, { stream: true })).split(/\r?\n/)
    held = lines.pop()!
    if (held.length > LIMIT)
      throw new VeritError('VERIT_ANSWER', { problem: `a line of the stream has more than ${LIMIT} characters` })
    for (const line of lines) if (line.startsWith('data:')) yield line.slice(5).trimStart()
  }
}
