/** Processors to pin threads to. This narrows down the processors that the process may use (taskset, cpuset). */
import { VeritError } from './errors.ts'
import { allowedProcessors, processorList } from './processor-list.ts'

/**
 * @param text such as "0-3,5"
 * @param root the folder that contains proc, for tests @param platform as in `process.platform`
 * @returns their numbers, each once, ascending
 * @throws VeritError VERIT_USAGE for a malformed list, processors that this machine lacks or this process may not use,
 *   and systems other than Linux
 */
export function usableCores(text: string, root = '/', platform: NodeJS.Platform = process.platform): number[] {
  const refuse = (problem: string, hint: string): never => {
    throw new VeritError('VERIT_USAGE', { problem, hint })
  }
  const wanted =
    processorList(text) ??
    refuse(
      `The cores ${JSON.stringify(text.slice(0, 100))} are not a list of processors`,
      'Name them as the system numbers them, from 0 to 8191, for example 0-3,5'
    )
  if (platform !== 'linux')
    refuse('Threads can be tied to cores on Linux only', 'Leave the cores out, and say how many threads with --threads')
  const { allowed, present } = allowedProcessors(root)
  const absent = wanted.find(cpu => present !== undefined && !processorList(present)!.includes(cpu))
  if (absent !== undefined) refuse(`This machine has no processor ${absent}`, `Choose among ${present}`)
  const barred = wanted.find(cpu => allowed !== undefined && !processorList(allowed)!.includes(cpu))
  if (barred !== undefined)
    refuse(
      `This process may not run on processor ${barred}`,
      `Choose among ${allowed}, or start it with others (taskset, cpuset)`
    )
  return wanted
}
