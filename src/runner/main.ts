/**
 * The runner. It has two open descriptors and nothing else: 3, a socket to the gateway, and 4, the model file, whose
 * digest the gateway has checked. It has an empty environment, locks itself (sandbox.ts) before it reads a byte of the
 * file, and ends when the gateway does. A terminal or service manager sends signals to both: only the gateway acts on
 * them, so that running answers can end.
 */
import { fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { loadModel } from '../engine/load.ts'
import type { LoadOptions } from '../engine/load.ts'
import { openExecutor } from '../exec/index.ts'
import { Reserve } from '../exec/reserve.ts'
import type { Digest } from '../trust/digest.ts'
import { RegularFile } from '../lib/regular-file.ts'
import { loadSettingsIn } from './load-settings.ts'
import { memoryCeiling } from './memory-ceiling.ts'
import { protectProcess } from './protect.ts'
import { lockProcess } from './sandbox.ts'
import { serveEngine } from './serve-engine.ts'

const GATEWAY = 3
const MODEL = 4

protectProcess('runner')

// The file is being hashed; only its size is used before the gateway has accepted it.
const reserve = new Reserve(fstatSync(MODEL).size)

await serveEngine(
  new Socket({ fd: GATEWAY, readable: true, writable: true }),
  ({ name, digest, chatTemplate, endTokens, ...message }) => {
    const file = new RegularFile(MODEL, name, false)
    const settings = loadSettingsIn(message)
    // Its threads start, and are pinned, before the lock, because that needs files and a system call that the lock
    // forbids.
    const own = openExecutor(settings)
    const ceiling = settings.memoryBytes ?? memoryCeiling(file.size, settings)
    const reserved = reserve.bytes
    // Weights with another packing need memory besides a reserve that is not freed yet.
    if (reserved > ceiling / 4) reserve.drop()
    const sandbox = lockProcess({ memoryBytes: ceiling, reserved })
    const options: LoadOptions = {
      ...settings,
      executor: reserve.before(own),
      digest: digest as Digest | undefined,
      chatTemplate: chatTemplate?.text,
      endTokens,
      conversationSources: { chatTemplate: chatTemplate?.source, endTokens: 'inference.end_tokens' }
    }
    return { sandbox, load: () => loadModel(file, options) }
  }
)
process.exit(0)
