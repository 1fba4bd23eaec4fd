/**
 * What lies in deploy/, as far as it can be checked without a container engine or a cluster: that it says what it must
 * say, and agrees with the program. The YAML is read as text: each thing looked for stands in one way.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseConfig } from '../src/server/config-file.ts'
import { defaultConfig } from '../src/server/config.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, 'deploy', path), 'utf8')
const { port } = defaultConfig().listen

test('settings for containers are settings that hold, on the port that the images and manifests name', () => {
  const map = /verit\.toml: \|\n((?: {4}.*\n|\n)+)/.exec(read('kubernetes/config.yaml'))![1]!.replaceAll(/^ {4}/gm, '')
  for (const config of [parseConfig(read('container.toml'), 'container.toml'), parseConfig(map, 'config.yaml')])
    assert.deepEqual([config.listen.host, config.listen.port], ['0.0.0.0', port])
  assert.match(read('Dockerfile'), new RegExp(`^EXPOSE ${port}$`, 'm'))
  assert.match(read('compose.yaml'), new RegExp(`"127\\.0\\.0\\.1:${port}:${port}"`))
  assert.match(read('kubernetes/deployment.yaml'), new RegExp(`containerPort: ${port}\\b`))
  assert.match(read('kubernetes/service.yaml'), new RegExp(`port: ${port}, targetPort: http`))
  assert.match(read('kubernetes/network-policy.yaml'), new RegExp(`port: ${port}\\b`))
})

test(
  'the image is built in two stages from locked packages without their scripts, and runs as user 10001 with a ' +
    'health check',
  () => {
    const file = read('Dockerfile')
    const final = file.slice(file.lastIndexOf('\nFROM '))
    assert.equal(file.match(/^FROM /gm)?.length, 2)
    assert.ok([...file.matchAll(/npm ci[^\n]*/g)].every(([line]) => line.includes('--ignore-scripts')))
    assert.doesNotMatch(file, /:latest\b|^ADD |npm install/m)
    assert.doesNotMatch(final, /^RUN /m) // there is no shell to run it
    for (const line of [
      /^USER 10001:10001$/m,
      /^STOPSIGNAL SIGTERM$/m,
      /^VOLUME \/var\/lib\/verit$/m,
      /^HEALTHCHECK .*CMD \["/m,
      /^ENTRYPOINT \["/m,
      /^CMD \["serve"/m
    ])
      assert.match(final, line)
    for (const [, sources] of file.matchAll(/^COPY --from=build (?:--chown=\S+ )?((?:\/src\/\S+ )+)/gm)) {
      for (const source of sources!
        .trim()
        .split(' ')
        .map(s => s.slice(5))) {
        if (!['node_modules', 'dist', 'prebuilds'].includes(source)) assert.ok(existsSync(join(root, source)), source)
      }
    }
    const ignored = read('Dockerfile.dockerignore').split('\n')
    for (const name of ['.git', '**/node_modules', 'dist', 'build']) assert.ok(ignored.includes(name))
  }
)

test('the compose file takes every right away and bounds what a container may use', () => {
  const file = read('compose.yaml')
  for (const line of [
    'user: "10001:10001"',
    'read_only: true',
    'cap_drop: [ALL]',
    '- no-new-privileges:true',
    'pids_limit:',
    'mem_limit:',
    'cpus:',
    'core: 0',
    'healthcheck:',
    'stop_grace_period:'
  ]) {
    assert.ok(file.includes(`${line}`), line)
  }
  assert.doesNotMatch(
    file + read('compose.postgres.yaml'),
    /privileged:|network_mode: host|docker\.sock|postgresql:\/\/\w+:(?!PASSWORD@)/
  )
})

const manifests = readdirSync(join(root, 'deploy/kubernetes'))
  .filter(f => f.endsWith('.yaml'))
  .map(f => ({ f, text: read(`kubernetes/${f}`) }))

test('each manifest is one object of a stable interface, named and listed, and selectors find the pods', () => {
  const kinds = manifests.map(({ f, text }) => {
    assert.match(text, /^apiVersion: (v1|[a-z0-9.]+\/v\d(beta\d)?)$/m, f)
    if (f !== 'kustomization.yaml') assert.match(text, /^metadata:\n {2}name: verit(-state)?$/m, f)
    return /^kind: (\w+)$/m.exec(text)?.[1]
  })
  assert.deepEqual(kinds.toSorted(), [
    'ConfigMap',
    'Deployment',
    'Kustomization',
    'Namespace',
    'NetworkPolicy',
    'PersistentVolumeClaim',
    'PodDisruptionBudget',
    'Service',
    'ServiceAccount'
  ])
  const listed = [...read('kubernetes/kustomization.yaml').matchAll(/^ {2}- (\S+\.yaml)$/gm)].map(m => m[1])
  assert.deepEqual(
    listed.toSorted(),
    manifests
      .map(m => m.f)
      .filter(f => f !== 'kustomization.yaml')
      .toSorted()
  )
  for (const f of ['deployment', 'service', 'network-policy', 'disruption-budget']) {
    assert.match(read(`kubernetes/${f}.yaml`), /(matchLabels|selector): \{app\.kubernetes\.io\/name: verit\}/, f)
  }
  assert.match(
    read('kubernetes/deployment.yaml'),
    /template:\n {4}metadata:\n {6}labels: \{app\.kubernetes\.io\/name: verit\}/
  )
})

test('the pod is what the restricted Pod Security Standard asks for, and has no token', () => {
  const file = read('kubernetes/deployment.yaml')
  for (const line of [
    'runAsNonRoot: true',
    'runAsUser: 10001',
    'allowPrivilegeEscalation: false',
    'readOnlyRootFilesystem: true',
    'drop: [ALL]',
    'type: RuntimeDefault',
    'automountServiceAccountToken: false',
    'hostUsers: false',
    'fsGroupChangePolicy: OnRootMismatch',
    'requests:',
    'limits:',
    'startupProbe:',
    'readinessProbe:',
    'livenessProbe:'
  ])
    assert.ok(file.includes(line), line)
  assert.doesNotMatch(file, /hostPath|hostNetwork|hostPID|hostIPC|privileged: true|capabilities:\n\s+add/)
  assert.match(read('kubernetes/namespace.yaml'), /pod-security\.kubernetes\.io\/enforce: restricted/)
  assert.match(read('kubernetes/network-policy.yaml'), /policyTypes: \[Ingress, Egress\]/)
})

const chart = (file: string): string => read(`helm/verit/${file}`)

test('the chart holds the pod of the manifests: the same lines of hardening, probes and mounts', () => {
  const template = chart('templates/deployment.yaml')
  const pod = read('kubernetes/deployment.yaml')
  const lines = pod
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '' && !line.startsWith('#'))
  const own = template.split('\n').map(line => line.trim())
  const differ = lines.filter(line => !own.includes(line))
  // What the chart takes from its values, or writes in another form.
  const known = [
    /^name: verit$/,
    /^labels: /,
    /^matchLabels: /,
    /^serviceAccountName: verit$/,
    /^image: verit$/,
    /^args: /,
    /^(requests|limits): /,
    /^persistentVolumeClaim: /,
    /^configMap: /
  ]
  assert.deepEqual(
    differ.filter(line => !known.some(pattern => pattern.test(line))),
    []
  )
  const values = chart('values.yaml')
  for (const line of lines.filter(l => /^(requests|limits): /.test(l))) assert.ok(values.includes(line), line)
  assert.match(values, /^ {2}egress: \[\]$/m)
  assert.doesNotMatch(template, /hostPath|hostNetwork|hostPID|hostIPC|privileged: true|capabilities:\n\s+add/)
  for (const f of ['service-account', 'network-policy', 'service', 'state', 'disruption-budget', 'config']) {
    const kind = /^kind: (\w+)$/m.exec(read(`kubernetes/${f}.yaml`))![0]
    assert.ok(chart(`templates/${f}.yaml`).includes(kind), f)
  }
  assert.match(chart('templates/service-account.yaml'), /^automountServiceAccountToken: false$/m)
  assert.match(
    chart('templates/network-policy.yaml'),
    new RegExp(`policyTypes: \\[Ingress, Egress\\][^]*port: ${port}\\b`)
  )
})

test(
  'every value that a template uses is in values.yaml and in the schema, and nothing else is; brackets and ' +
    'blocks are closed',
  () => {
    const schema = JSON.parse(chart('values.schema.json')) as {
      properties: Record<string, { properties?: Record<string, unknown> }>
    }
    const values = chart('values.yaml')
    const names = [...values.matchAll(/^(\w+):/gm)].map(m => m[1]!)
    assert.deepEqual(
      names.toSorted(),
      Object.keys(schema.properties)
        .filter(n => n !== 'global')
        .toSorted()
    )
    const files = readdirSync(join(root, 'deploy/helm/verit/templates'))
    const used = files.flatMap(f => [...chart(`templates/${f}`).matchAll(/\.Values\.(\w+)(?:\.(\w+))?/g)])
    for (const [text, name, member] of used) {
      const known = schema.properties[name!]
      assert.ok(
        known !== undefined && (member === undefined || known.properties === undefined || member in known.properties),
        text
      )
    }
    assert.deepEqual([...new Set(used.map(m => m[1]!))].toSorted(), names.toSorted())
    for (const f of files) {
      const text = chart(`templates/${f}`)
      const actions = [...text.matchAll(/\{\{-? *(\w+)/g)].map(m => m[1]!)
      assert.equal(
        actions.filter(a => ['if', 'with', 'range', 'define'].includes(a)).length,
        actions.filter(a => a === 'end').length,
        f
      )
      assert.equal(text.match(/\{\{/g)?.length, text.match(/\}\}/g)?.length, f)
    }
    const config = /^config: \|\n((?: {2}.*\n|\n)+)/m.exec(values)![1]!.replaceAll(/^ {2}/gm, '')
    assert.deepEqual(
      [parseConfig(config, 'values.yaml').listen.host, parseConfig(config, 'values.yaml').listen.port],
      ['0.0.0.0', port]
    )
    assert.match(chart('Chart.yaml'), /^apiVersion: v2$/m)
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    assert.match(chart('Chart.yaml'), new RegExp(`^appVersion: "${version}"$`, 'm'))
  }
)

const unit = join(root, 'deploy/systemd/verit.service')
const analyze = spawnSync('systemd-analyze', ['security', '--help'], { encoding: 'utf8' })
test('the systemd unit starts what there is, with what the sandbox needs', () => {
  const text = readFileSync(unit, 'utf8')
  const started = /^ExecStart=\S+node --disable-sigusr1 \S+\/main\.js serve --config \S+ --state (\S+) --log-json$/m
  assert.equal(started.exec(text)?.[1], '/var/lib/verit')
  assert.match(text, /^SystemCallFilter=@system-service .*\bseccomp$/m)
  assert.match(text, /@privileged.*\nSystemCallFilter=capset$/m) // with which it drops what it has
  assert.doesNotMatch(text, /^MemoryDenyWriteExecute=yes/m)
  const flags = spawnSync(process.execPath, [join(root, 'src/cli/main.ts'), 'serve', '--help'], {
    encoding: 'utf8'
  }).stdout
  const extra = /^# Arguments of `verit serve`.*$/m.exec(chart('values.yaml'))![0]
  const used = (text + extra).replaceAll('--disable-sigusr1', '').matchAll(/--[a-z-]+/g)
  for (const [flag] of used) assert.ok(flags.includes(`${flag} `), flag)
})

test('wherever a server is started, Node does not open its debugger at SIGUSR1', () => {
  const places = ['deploy/systemd/verit.service', 'deploy/Dockerfile', 'docs/guide/deploy.md', 'package.json']
  const files = places.map(file => readFileSync(join(root, file), 'utf8')).join('\n')
  const starts = files.split('\n').filter(line => /^(ExecStart|ENTRYPOINT)|"start":|"verit": "exec/.test(line))
  assert.ok(starts.length >= 6)
  assert.deepEqual(
    starts.filter(line => !line.includes('--disable-sigusr1') && line !== 'ExecStart='),
    []
  )
  // compose, the manifests and the chart use the entry point of the image
  for (const file of ['compose.yaml', 'compose.postgres.yaml', 'kubernetes/deployment.yaml']) {
    assert.doesNotMatch(read(file), /^\s*(entrypoint|command):/m, file)
  }
})

test(
  'systemd calls the unit OK: an exposure of at most 1.5 of 10',
  { skip: !analyze.stdout?.includes('--offline') && 'systemd-analyze is not here, or too old' },
  () => {
    const { status, stdout } = spawnSync(
      'systemd-analyze',
      ['security', '--offline=true', '--threshold=15', '--no-pager', unit],
      { encoding: 'utf8' }
    )
    assert.equal(status, 0, stdout)
  }
)

test('the health check ends with 0 for 200 alone', async () => {
  let status = 200
  const server = createServer((_, response) => void response.writeHead(status).end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/health`
  const check = async (): Promise<unknown> =>
    (await once(spawn(process.execPath, [join(root, 'deploy/healthcheck.mjs'), url], { stdio: 'ignore' }), 'exit'))[0]
  assert.equal(await check(), 0)
  status = 503
  assert.equal(await check(), 1)
  server.close()
  await once(server, 'close')
  assert.equal(await check(), 1)
})
