/** A self-contained HTML page: no script from elsewhere, no font, no network; light and dark, wide and narrow. */

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
export const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (c) => ESCAPES[c] as string)

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6475; --paper: #ffffff; --panel: #f4f6f9; --line: #d5dae3;
  --good: #1f8a54; --bad: #c2392f; --accent: #2563c9; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaf0; --soft: #9aa4b5; --paper: #12161d; --panel: #1b212b; --line: #333c4a;
  --good: #4cc38a; --bad: #f07167; --accent: #6ea8fe; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 64rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem; margin: 0 0 .25rem } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
p.note { color: var(--soft); margin: .25rem 0 1rem }
section { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; margin: 1rem 0; overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } td, th { padding: .2rem .8rem .2rem 0; text-align: right }
td:first-child, th:first-child { text-align: left } th { color: var(--soft); font-weight: 600 }
svg { display: block; max-width: 100%; min-width: 30rem; height: auto } svg text { fill: var(--ink); font: 12px system-ui, sans-serif } svg text.soft { fill: var(--soft) }
ul.tree { list-style: none; margin: 0; padding-left: 1.1rem; border-left: 1px solid var(--line) } ul.tree.root { border: 0; padding-left: 0 }
.node { padding: .15rem 0; display: flex; gap: .6rem; align-items: baseline } .node code { white-space: pre-wrap; overflow-wrap: anywhere }
.mc { flex: none; min-width: 4.6rem; text-align: right; font-variant-numeric: tabular-nums; border-radius: .3rem; padding: 0 .4rem;
  background: color-mix(in srgb, var(--good) calc(var(--p) * 45%), color-mix(in srgb, var(--bad) calc((1 - var(--p)) * 30%), transparent)) }
.mc.none { background: none; color: var(--soft) } .error code { color: var(--bad); font-weight: 600 } .flag { color: var(--bad); flex: none }
img.problem { image-rendering: pixelated; width: 192px; border: 1px solid var(--line); background: #fff }
.step { display: grid; grid-template-columns: 1fr 8rem 3.5rem; gap: .75rem; align-items: center; padding: .15rem 0 }
.bar { height: .6rem; background: var(--line); border-radius: .3rem; overflow: hidden } .bar i { display: block; height: 100%; background: var(--accent) }
@media (max-width: 36rem) { .step { grid-template-columns: 1fr 3.5rem } .step .bar { display: none } }
`

export interface Section {
  title: string
  note?: string
  /** HTML; text in it is already escaped. */
  html: string
}

export function page(title: string, note: string, sections: readonly Section[]): string {
  const body = sections
    .map(
      (s) =>
        `<h2>${escapeHtml(s.title)}</h2>\n${s.note ? `<p class="note">${escapeHtml(s.note)}</p>\n` : ''}<section>${s.html}</section>`,
    )
    .join('\n')
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><link rel="icon" href="data:,"><style>${STYLE}</style></head>
<body><h1>${escapeHtml(title)}</h1><p class="note">${escapeHtml(note)}</p>
${body}
</body></html>
`
}

/** A number and its interval may stand on two lines, neither of them broken: a line may end behind a blank or a dash. */
const unbroken = (cell: string) =>
  cell.replace(/\([^()]*\)|^\+ \w|\d–\d|[−+]?\d\S* to [−+]?\d/g, (part) =>
    part.replaceAll(' ', '\u00a0').replaceAll('–', '\u2060–\u2060'),
  )

/** First row is the head. */
export function tableHtml(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows
  const cells = (row: readonly string[], tag: string) =>
    `<tr>${row.map((c) => `<${tag}>${escapeHtml(unbroken(c))}</${tag}>`).join('')}</tr>`
  return `<table><thead>${cells(head, 'th')}</thead><tbody>${body.map((row) => cells(row, 'td')).join('')}</tbody></table>`
}
