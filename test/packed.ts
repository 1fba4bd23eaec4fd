/**
 * What users do with a package of Verit, for tests: pack it as npm would publish it, install it without a network, run
 * programs with it.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))
const shell = process.platform === 'win32'

/** The environment with another Node before all others. */
export const withNode = (node: string, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  ...process.env,
  ...more,
  PATH: `${dirname(node)}${delimiter}${process.env['PATH']}`
})

/** `npm pack` of this checkout. @returns path of the tarball, and the paths in it */
export function pack(folder: string, env: NodeJS.ProcessEnv = {}): { tarball: string; paths: string[] } {
  mkdirSync(folder, { recursive: true })
  const args = ['pack', '--json', '--pack-destination', folder]
  const out = execFileSync('npm', args, {
    cwd: root,
    env: withNode(process.execPath, env),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    shell
  })
  const [{ filename, files }] = JSON.parse(out.slice(out.indexOf('[\n'))) as [
    { filename: string; files: { path: string }[] }
  ]
  return { tarball: join(folder, filename), paths: files.map(f => f.path) }
}

export class App {
  readonly folder: string
  readonly env: NodeJS.ProcessEnv

  /**
   * An empty project with these tarballs installed, from the disk alone. @param node the Node that runs it; default:
   * the one that runs the tests
   */
  constructor(folder: string, tarballs: readonly string[], node = process.execPath) {
    this.folder = folder
    this.env = withNode(node)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{"name": "app", "private": true, "type": "module"}')
    const args = ['install', '--offline', '--no-audit', '--no-fund', '--silent', ...tarballs]
    execFileSync('npm', args, { cwd: folder, env: this.env, stdio: ['ignore', 'ignore', 'pipe'], shell })
  }

  /** Packages that were installed, by their places. */
  packages(): string[] {
    const lock = JSON.parse(readFileSync(join(this.folder, 'node_modules/.package-lock.json'), 'utf8')) as {
      packages: Record<string, unknown>
    }
    return Object.keys(lock.packages)
  }

  run(command: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(command, args, {
      cwd: this.folder,
      env: this.env,
      encoding: 'utf8',
      shell: shell && command !== 'node'
    })
  }

  /** Runs a program. @throws Error with what it wrote to standard error, where it fails */
  program(name: string, text: string): string {
    writeFileSync(join(this.folder, name), text)
    const { status, stdout, stderr } = this.run('node', name)
    if (status !== 0) throw new Error(stderr)
    return stdout
  }

  /**
   * Starts `verit serve`, asks it, and stops it. @returns the answer, all that the server wrote, and its exit status
   */
  async serve(request: object): Promise<{ status: number; answer: unknown; wrote: string; exit: number | null }> {
    const main = join(this.folder, 'node_modules/verit/dist/cli/main.js')
    const args = [main, 'serve', '--port', '0', '--state', join(this.folder, 'state')]
    const child = spawn('node', args, { cwd: this.folder, env: this.env, stdio: ['ignore', 'ignore', 'pipe'] })
    const closed = once(child, 'close') as Promise<[number | null]>
    let wrote = ''
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => void (wrote += chunk))
    try {
      while (!/max_tokens/.test(wrote) && child.exitCode === null) await new Promise(done => setTimeout(done, 20))
      const url = /http:\/\/127\.0\.0\.1:\d+/.exec(wrote)?.[0]
      const key = /verit_\w+/.exec(wrote)?.[0]
      if (url === undefined) throw new Error(`the server has not started:\n${wrote}`)
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` }
      const response = await fetch(`${url}/v1/completions`, { method: 'POST', headers, body: JSON.stringify(request) })
      const answer: unknown = await response.json()
      child.kill('SIGTERM')
      return { status: response.status, answer, wrote, exit: (await closed)[0] }
    } finally {
      child.kill('SIGKILL')
    }
  }
}

/** Writes eight tokens of the default model, and what computed them, as JSON. */
export const GENERATE = `
import { defaultModelPath, loadModel, VERSION } from 'verit'
const model = await loadModel(process.argv[2] ?? defaultModelPath(), { progress: false })
let text = ''
for await (const event of model.generate({ prompt: 'Fellow citizens', maxTokens: 8, temperature: 0 })) if (event.type === 'token') text += event.text
await model.close()
console.log(JSON.stringify({ executor: model.info.executor, text, version: VERSION }))
`
export interface Generated {
  executor: string
  text: string
  version: string
}
