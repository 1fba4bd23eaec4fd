/**
 * The first program of a runner. Node's event loop has opened an io_uring by now, and what is put into a ring does not
 * pass the list of system calls that the runner takes later: so the runner proper (or, for tests, the program named
 * after this one) is run in the place of this process with no ring to be had (native/ring.c), and with no descriptor
 * but its own. Without a native library, or where that fails, it goes on in this process, and says so when it locks
 * itself (restarted.ts).
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
