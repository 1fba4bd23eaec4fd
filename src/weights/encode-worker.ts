/** A worker thread of `EncodePool`: one job a message, answered in order. */
import { parentPort } from 'node:worker_threads'
import { invariant } from '../lib/errors.ts'
import { encodeSlice } from './encode-job.ts'
import type { EncodeJob } from './encode-job.ts'

invariant(parentPort !== null, 'the encoder runs as a worker thread')
const port = parentPort
port.on('message', (job: EncodeJob) => {
  const result = encodeSlice(job)
  if (typeof result === 'string') port.postMessage(result)
  else port.postMessage(result, [result.bytes.buffer])
})
