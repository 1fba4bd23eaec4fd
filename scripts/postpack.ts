/** Runs after `npm pack` (postpack): puts the checkout's package.json back. */
import { fileURLToPath } from 'node:url'
import { restoreManifest } from './packed-manifest.ts'

restoreManifest(fileURLToPath(new URL('..', import.meta.url)))
