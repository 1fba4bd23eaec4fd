/**
 * Whether an open file is on a secret mount of a container engine: a read-only mount of a memory file system. Docker
 * Swarm and Kubernetes make such files readable to all (0444, 0644), because only the processes of one container see
 * the mount.
 */
import { readFileSync } from 'node:fs'

/** Linux only; false where /proc cannot be read. */
export function isOnSecretMount(fd: number): boolean {
  if (process.platform !== 'linux') return false
  try {
    return isSecretMount(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'), readFileSync('/proc/self/mountinfo', 'utf8'))
  } catch {
    return false
  }
}

/**
 * @param fdinfo text of /proc/self/fdinfo/FD, which has the number of the mount (`mnt_id`)
 * @param mountinfo text of /proc/self/mountinfo; proc(5) describes its lines
 */
export function isSecretMount(fdinfo: string, mountinfo: string): boolean {
  const id = /^mnt_id:\s*(\d+)$/m.exec(fdinfo)?.[1]
  const line = mountinfo.split('\n').find(l => l.startsWith(`${id} `))
  if (line === undefined) return false
  const [mount = '', fileSystem = ''] = line.split(' - ')
  const options = mount.split(' ')[5]?.split(',') ?? []
  const [type = ''] = fileSystem.split(' ')
  return options.includes('ro') && ['tmpfs', 'ramfs'].includes(type)
}
