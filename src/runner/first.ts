/**
 * The first program of a runner. Node's event loop has already opened an io_uring, whose operations bypass the system
 * call filter that the runner installs later. So the runner proper (or, for tests, the program given as an argument)
 * runs in place of this process, without io_uring (native/ring.c) and with only its own descriptors. Without a native
 * library, or if that fails, it continues in this process, and reports so when it enters its sandbox (restarted.ts).
 */
import { fileURLToPath, pathToFileURL } from 'node:url'
import { addon } from '../exec/native.ts'
import { RESTARTED } from './restarted.ts'

const program =
  process.argv[2] ??
  fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url))
/** Standard streams, the socket to the gateway, the model file. */
const KEPT = 5

addon()?.restart([process.execPath, ...process.execArgv, program, RESTARTED], KEPT)
await import(pathToFileURL(program).href)
