/** In a bundle the verifier is what it is outside of one, though the whole package comes along: nothing that cannot be bundled is loaded at import. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const PACKAGE = join(import.meta.dirname, '../../../ts/index.ts')
// The bundler that the TypeScript loader of these tests brings along.
const require = createRequire(createRequire(import.meta.url).resolve('tsx'))
const folder = mkdtempSync(join(tmpdir(), 'mm-prm-bundle-'))
test.after(() => rmSync(folder, { recursive: true }))

test('verdicts in a bundle', async () => {
  const entry = join(folder, 'entry.ts')
  const outfile = join(folder, 'out.mjs')
  writeFileSync(entry, `export { verify } from ${JSON.stringify(PACKAGE)}\n`)
  const { build } = require('esbuild') as { build(options: object): Promise<unknown> }
  await build({ entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm' })
  const { verify } = (await import(pathToFileURL(outfile).href)) as {
    verify: { verifyAnswer(gold: string, pred: string): { match: boolean } }
  }
  const { verifyAnswer } = verify
  for (const [gold, pred] of [['1/2', '0.5'], ['x+1', '1+x'], ['\\frac{3}{4}', '0.75']] as const) assert.ok(verifyAnswer(gold, pred).match, gold) // biome-ignore format: pairs
  assert.not.ok(verifyAnswer('x+1', 'x-1').match)
})

test.run()
