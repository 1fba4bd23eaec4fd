/**
 * The page cache assigns pages of the KV cache to sequences; scheduler.ts describes the engine. A sequence is admitted
 * only if all pages it can ever need are free. It takes them as it grows and frees them when it ends. Full pages of a
 * tenant stay as its prefix cache: later sequences of the tenant that begin with the same tokens use them, because keys
 * and values of a position depend on nothing else. When a page is needed, the tenant with the most kept pages loses its
 * least recently used one. Each tenant has its own tree, so none finds another's pages.
 */
import { invariant } from '../lib/errors.ts'
import { PAGE_ROWS, pagesOf } from '../model/graphs.ts'

/** A kept page and its successors. The tokens themselves are the keys, so a collision cannot lead to another page. */
interface Kept {
  readonly page: number
  readonly tokens: string
  readonly parent: Tree
  readonly root: Root
  readonly children: Map<string, Kept>
  /** Sequences that hold it. */
  holders: number
}
interface Root {
  readonly tenant: string
  readonly children: Map<string, Kept>
  /**
   * Kept pages that no sequence holds, least recently used first. A sequence holds all pages before a page and frees
   * the last one first, so a page always comes after its successors here.
   */
  readonly idle: Set<Kept>
}
type Tree = Kept | Root

export class PageCache {
  readonly pages: number
  #free: number[]
  #tenants = new Map<string, Root>()
  /** Kept pages of all tenants that no sequence holds. */
  #idle = 0
  /** Pages that sequences may still take. */
  #promised = 0
  #reusedTokens = 0

  constructor(pages: number) {
    this.pages = pages
    // The lowest first: those that were touched before are used again.
    this.#free = Array.from({ length: pages }, (_, i) => pages - 1 - i)
  }

  /** Prompt tokens served from the prefix cache so far. */
  get reusedTokens(): number {
    return this.#reusedTokens
  }

  /** Pages that sequences hold, pages promised to them, and pages kept as prefix cache. */
  get load(): { held: number; promised: number; kept: number } {
    return { held: this.pages - this.#free.length - this.#idle, promised: this.#promised, kept: this.#idle }
  }

  /**
   * Pages for a sequence; undefined while there are not enough.
   * @param positions maximum length of the sequence, at most the capacity of all pages
   * @param tenant whose pages it may use and leave; undefined: none
   */
  open(prompt: readonly number[], positions: number, tenant?: string): SequencePages | undefined {
    invariant(pagesOf(positions) <= this.pages, `a sequence of ${positions} positions fits the cache`)
    const found = tenant === undefined ? [] : this.#find(prompt, tenant)
    const more = Math.max(0, pagesOf(positions) - found.length)
    const idle = found.filter(k => k.holders === 0).length
    if (this.#free.length + this.#idle - idle - this.#promised < more) return undefined
    for (const kept of found) this.#hold(kept)
    this.#promised += more
    this.#reusedTokens += found.length * PAGE_ROWS
    return new SequencePages(
      {
        take: () => this.#take(),
        free: page => void this.#free.push(page),
        hold: kept => this.#hold(kept),
        release: kept => this.#release(kept),
        forgo: n => void (this.#promised -= n),
        root: () => (tenant === undefined ? undefined : this.#root(tenant))
      },
      found,
      more
    )
  }

  /** Kept pages that hold the beginning of a prompt. The last token always runs, because its logits are needed. */
  #find(prompt: readonly number[], tenant: string): Kept[] {
    const found: Kept[] = []
    let at: Tree | undefined = this.#tenants.get(tenant)
    for (let b = 0; at !== undefined && (b + 1) * PAGE_ROWS < prompt.length; b++) {
      at = at.children.get(tokensOf(prompt, b))
      if (at !== undefined) found.push(at)
    }
    return found
  }

  #root(tenant: string): Root {
    let root = this.#tenants.get(tenant)
    if (root === undefined) this.#tenants.set(tenant, (root = { tenant, children: new Map(), idle: new Set() }))
    return root
  }

  #take(): number {
    this.#promised--
    return this.#free.pop() ?? this.#evict()
  }

  /** A tenant that fills the cache evicts its own pages first. */
  #evict(): number {
    let most: Root | undefined
    for (const root of this.#tenants.values()) if (root.idle.size > (most?.idle.size ?? 0)) most = root
    const [oldest] = most?.idle ?? []
    invariant(most !== undefined && oldest !== undefined && oldest.children.size === 0, 'a promised page is there')
    this.#hold(oldest)
    oldest.parent.children.delete(oldest.tokens)
    if (most.children.size === 0) this.#tenants.delete(most.tenant)
    return oldest.page
  }

  #hold(kept: Kept): void {
    if (kept.holders++ > 0) return
    kept.root.idle.delete(kept)
    this.#idle--
  }

  #release(kept: Kept): void {
    if (--kept.holders > 0) return
    kept.root.idle.add(kept)
    this.#idle++
  }
}

interface Owner {
  take(): number
  free(page: number): void
  hold(kept: Kept): void
  release(kept: Kept): void
  forgo(pages: number): void
  root(): Root | undefined
}

/** The pages of one sequence. */
export class SequencePages {
  /** In order. */
  readonly list: number[]
  /** Positions that need not be run: their keys and values are there. */
  readonly reused: number
  #owner: Owner
  /** The longest prefix of `list` that is cached. */
  #kept: Kept[]
  #promised: number
  #closed = false

  constructor(owner: Owner, found: readonly Kept[], promised: number) {
    this.#owner = owner
    this.#kept = [...found]
    this.#promised = promised
    this.list = found.map(k => k.page)
    this.reused = found.length * PAGE_ROWS
  }

  /** Takes pages for this many positions. */
  grow(positions: number): void {
    while (this.list.length < pagesOf(positions)) {
      invariant(!this.#closed && this.#promised > 0, 'a sequence stays within what it was promised')
      this.#promised--
      this.list.push(this.#owner.take())
    }
  }

  /**
   * Keeps full pages for later sequences of the tenant.
   * @param ids tokens of the sequence
   * @param evaluated number of them whose keys and values are cached
   */
  keep(ids: readonly number[], evaluated: number): void {
    if (this.#closed || (this.#kept.length + 1) * PAGE_ROWS > evaluated) return
    const root = this.#owner.root()
    if (root === undefined) return
    for (let b = this.#kept.length; (b + 1) * PAGE_ROWS <= evaluated; b++) {
      const parent = this.#kept[b - 1] ?? root
      const tokens = tokensOf(ids, b)
      const page = this.list[b]!
      let kept = parent.children.get(tokens)
      if (kept === undefined)
        parent.children.set(tokens, (kept = { page, tokens, parent, root, children: new Map(), holders: 1 }))
      else {
        // Another sequence was faster: the same bits are there, and one page is enough.
        this.#owner.hold(kept)
        this.#owner.free(page)
        this.list[b] = kept.page
      }
      this.#kept.push(kept)
    }
  }

  /** Gives all pages back. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#owner.forgo(this.#promised)
    for (const page of this.list.slice(this.#kept.length).reverse()) this.#owner.free(page)
    for (const kept of this.#kept.reverse()) this.#owner.release(kept)
  }
}

const tokensOf = (ids: readonly number[], page: number): string =>
  ids.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS).join()
