/**
 * New certificates without a restart: checks the files every few seconds and on SIGHUP. A changed pair is read and
 * validated as a whole; an invalid pair leaves the old one in use, with a line in the log. Open connections keep their
 * certificate.
 */
import { statSync } from 'node:fs'
import { VeritError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { readTls } from './tls.ts'
import type { TlsFiles, TlsMaterial } from './tls.ts'

const POLL_MS = 5000
const DAY_MS = 86_400_000
const WARN_DAYS = 14

export class CertificateWatch {
  #files: TlsFiles
  #log: Log
  #use: (material: TlsMaterial) => void
  #stamp: string
  #expires: number
  #warned = -Infinity
  #timer: NodeJS.Timeout
  #check = (): void => this.check()

  /** Reads the files for the first time. @param use receives later pairs. @throws VeritError VERIT_CONFIG */
  static start(
    files: TlsFiles,
    log: Log,
    use: (material: TlsMaterial) => void
  ): { material: TlsMaterial; watch: CertificateWatch } {
    const stamp = stampOf(files)
    const material = readTls(files)
    return { material, watch: new CertificateWatch(files, log, use, stamp, material.expires) }
  }

  private constructor(files: TlsFiles, log: Log, use: (material: TlsMaterial) => void, stamp: string, expires: number) {
    this.#files = files
    this.#log = log
    this.#use = use
    this.#stamp = stamp
    this.#expires = expires
    this.#warn()
    this.#timer = setInterval(this.#check, POLL_MS).unref()
    if (process.platform !== 'win32') process.on('SIGHUP', this.#check)
  }

  /** Looks now. */
  check(): void {
    const stamp = stampOf(this.#files) // taken before reading: a change in between is seen the next time
    if (stamp !== this.#stamp) {
      this.#stamp = stamp
      try {
        const material = readTls(this.#files)
        this.#use(material)
        this.#expires = material.expires
        this.#warned = -Infinity
        this.#log.info({ expires: new Date(material.expires).toISOString() }, 'the certificate was replaced')
      } catch (e) {
        this.#log.error(
          { reason: VeritError.is(e) ? e.what : String(e) },
          'the new certificate cannot be used; the old one stays'
        )
      }
    }
    this.#warn()
  }

  #warn(): void {
    const left = this.#expires - Date.now()
    if (left > WARN_DAYS * DAY_MS || Date.now() - this.#warned < DAY_MS) return
    this.#warned = Date.now()
    this.#log.warn(
      { expires: new Date(this.#expires).toISOString() },
      left > 0 ? 'the certificate expires soon' : 'the certificate has expired'
    )
  }

  close(): void {
    clearInterval(this.#timer)
    process.off('SIGHUP', this.#check)
  }
}

/** Changes when a file is replaced, rewritten, or its link is retargeted. */
function stampOf(files: TlsFiles): string {
  return [files.tlsCert, files.tlsKey, files.tlsClientCa]
    .map(path => {
      const s = path === '' ? undefined : statSync(path, { bigint: true, throwIfNoEntry: false })
      return s === undefined ? '-' : `${s.dev}:${s.ino}:${s.size}:${s.mtimeNs}:${s.ctimeNs}`
    })
    .join(' ')
}
