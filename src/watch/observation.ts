/** The gateway's report on each request with a valid key. Texts are not kept, only hashes of them. */
export interface Observation {
  readonly keyId: string
  /** ms since 1970. */
  readonly at: number
  readonly route: string
  readonly remote: string
  readonly status: number
  /** Error code, where it failed. */
  readonly code: string | undefined
  readonly promptTokens: number
  readonly completionTokens: number
  /** Text of the prompt, '' where it was token ids. */
  readonly prompt: string
  /** Token ids, where the prompt was that. */
  readonly promptIds: readonly number[] | undefined
  readonly parameters: {
    readonly temperature?: number
    readonly topP?: number
    readonly topK?: number
    readonly seed?: number
    readonly logprobs?: number
    readonly maxTokens?: number
  }
}

export interface Alert {
  readonly keyId: string
  /** Name of the rule, for example `rate` or `sweep`. */
  readonly rule: string
  /** One sentence for a person, without texts of the client. */
  readonly message: string
  /** The figures behind it. */
  readonly detail: Record<string, number | string>
  readonly at: number
}
