/** Where rates and places are counted: in memory for one gateway, in Valkey or Redis where a URL is given. */
import { MemoryRateState } from './memory-rate-state.ts'
import type { RateState } from './rate-state.ts'

/**
 * @param url of rateUrl(); undefined: in memory
 * @throws VeritError VERIT_RATE_STATE where the server at that address does not answer within 5 s or refuses the
 *   password
 */
export async function openRateState(url?: string): Promise<RateState> {
  if (url === undefined) return new MemoryRateState()
  const { RedisRateState } = await import('./redis-rate-state.ts')
  return RedisRateState.open(url)
}
