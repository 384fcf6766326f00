/** Writes the README's list of architectures from the registry's tables: node scripts/model-list.mjs */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const ROOT = join(import.meta.dirname, '..')
const FOLDER = join(ROOT, 'native/models')
const BEGIN = '<!-- models:begin -->'
const END = '<!-- models:end -->'
const WIDTH = 120

/** The entries of a table of registry.cc: an architecture's name, or the constant of the file that declares it. */
function entries(registry, table) {
  const start = registry.indexOf('{', registry.indexOf(table) + table.length)
  const text = registry.slice(start + 1, registry.indexOf('};', start))
  return [...text.matchAll(/\{"(\w+)"|&?\b(k[A-Z]\w*),|&(k[A-Z]\w*)/g)].map((m) => m[1] ?? m[2] ?? m[3])
}

/** The architectures of a model alone, and of the language models inside of those that see. */
export function architectures() {
  const sources = readdirSync(FOLDER)
    .filter((name) => name.endsWith('.cc'))
    .map((name) => readFileSync(join(FOLDER, name), 'utf8'))
  const registry = readFileSync(join(FOLDER, 'registry.cc'), 'utf8')
  const named = (entry) => {
    if (!/^k[A-Z]/.test(entry)) return entry
    const declared = new RegExp(`Family ${entry} = \\{\\s*([^;]*)\\};`)
    const fields = sources.map((text) => declared.exec(text)?.[1]).find((found) => found)
    const name = [...(fields ?? '').matchAll(/"([A-Z]\w*)"/g)][0]?.[1]
    if (!name) throw new Error(`native/models: no file declares ${entry} with the name of an architecture`)
    return name
  }
  return {
    models: entries(registry, 'std::vector<ModelFamily> all =').map(named),
    inside: entries(registry, 'kDecoders[] =').map(named),
  }
}

/** Words in lines of the README's width. */
function wrapped(text) {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)
    if (line !== '' && line.length + 1 + word.length > WIDTH) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.join('\n')
}

/** The README with the list as the registry has it. @throws where the README has no place for it */
export function withList(readme) {
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`README.md: no ${BEGIN} … ${END}`)
  const { models, inside } = architectures()
  const list = (names) => names.map((name) => `\`${name}\``).join(', ')
  const text = `Read by their \`architectures\`: ${list(models)}. Inside InternVL: ${list(inside)}.`
  return `${readme.slice(0, begin + BEGIN.length)}\n${wrapped(text)}\n${readme.slice(end)}`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const path = join(ROOT, 'README.md')
  writeFileSync(path, withList(readFileSync(path, 'utf8')))
}
