/**
 * The documentation site: the Markdown files of the repository as they are, with a sidebar from docs/index.md and a
 * search index that works without a server.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitepress'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const index = readFileSync(join(root, 'docs/index.md'), 'utf8')

/** One group for each part of docs/index.md, one item for each page that it lists. */
const sidebar = index
  .split(/^## /m)
  .slice(1)
  .map(part => ({
    text: part.slice(0, part.indexOf('\n')),
    items: [...part.matchAll(/^\| \[([^\]]+)\]\(([^)]+)\)/gm)].map(([, text, path]) => ({ text, link: `/docs/${path}` }))
  }))

/** Links to files that are no pages, such as sources and tests, become plain code: the site has no such files. */
function withoutFileLinks(md) {
  const open = md.renderer.rules.link_open ?? ((tokens, i, options, env, self) => self.renderToken(tokens, i, options))
  const close = md.renderer.rules.link_close ?? ((tokens, i, options, env, self) => self.renderToken(tokens, i, options))
  // Indented commands look like fenced ones.
  md.core.ruler.push('indented-code', state => {
    for (const block of state.tokens) {
      if (block.type === 'code_block') Object.assign(block, { type: 'fence', tag: 'code', info: 'sh', markup: '```' })
    }
  })
  md.core.ruler.push('file-links', state => {
    for (const block of state.tokens) {
      if (block.type !== 'inline') continue
      let dropped = false
      for (const token of block.children) {
        if (token.type === 'link_open') {
          const href = (token.attrGet('href') ?? '').split('#')[0]
          const page = state.env.relativePath ?? ''
          dropped = href !== '' && !/^[a-z]+:/.test(href) && !isPage(normalize(join(dirname(page), href)))
        }
        if (dropped && (token.type === 'link_open' || token.type === 'link_close')) token.hidden = true
        if (token.type === 'link_close') dropped = false
      }
    }
  })
  md.renderer.rules.link_open = (tokens, i, ...rest) => (tokens[i].hidden ? '' : open(tokens, i, ...rest))
  md.renderer.rules.link_close = (tokens, i, ...rest) => (tokens[i].hidden ? '' : close(tokens, i, ...rest))
}

const isPage = path => path.endsWith('.md') && existsSync(join(root, path)) && /^(docs\/|[A-Z]+\.md$)/.test(path)

export default defineConfig({
  title: 'Verit',
  description: 'Trains, verifies and serves small language models on ordinary CPUs',
  srcDir: 'pages', // copies that build.mjs makes
  outDir: join(root, 'build/site'),
  cacheDir: join(root, 'build/docs/cache'),
  rewrites: { 'README.md': 'index.md' },
  lastUpdated: false,
  markdown: {
    // Text in angle brackets is a placeholder, not HTML; comments are for generators.
    html: false,
    config: md => {
      const render = md.render.bind(md)
      md.render = (text, env) => render(text.replaceAll(/<!--.*?-->\n?/gs, ''), env)
      withoutFileLinks(md)
    }
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    sidebar,
    nav: [
      { text: 'Guide', link: '/docs/guide/start' },
      { text: 'Reference', link: '/docs/reference/cli' },
      { text: 'All documents', link: '/docs/' }
    ],
    socialLinks: []
  }
})
