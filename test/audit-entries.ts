/** Entries, folders and damage for the tests of the audit log. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NewAuditEntry } from '../src/audit/entry.ts'

/** A request entry that tells its number. */
export function requestEntry(i: number): NewAuditEntry {
  return {
    type: 'request',
    request: `req_${i}`,
    remote: '127.0.0.1',
    route: 'POST /v1/completions',
    key: 'key_0123456789ab',
    credential: 'cred_1',
    proof: 'secret',
    status: 200,
    model: 'tiny',
    modelDigest: `sha256:${'ab'.repeat(32)}`,
    parameters: { temperature: 0.8, seed: i },
    promptTokens: 12,
    completionTokens: i,
    finish: 'stop',
    ms: 1.5
  }
}

/** Runs `work` with the path of a log's folder that is not there yet, and removes everything after it. */
export async function withLogFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const root = mkdtempSync(join(tmpdir(), 'verit-audit-'))
  try {
    return await work(join(root, 'audit'))
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
