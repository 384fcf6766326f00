/** The package as it would be published: staged, packed, and installed in an empty folder with a bare PATH. */
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const PREBUILDIFY = join(ROOT, 'node_modules/prebuildify/bin.js')
const MANIFEST: { files: string[] } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))

export interface Ran {
  code: number | null
  output: string
}

export function which(program: string): string {
  const found = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path))
  if (!found) throw new Error(`${program} is not on PATH`)
  return realpathSync(found)
}

/** Runs node; `path` replaces PATH. What npm hands down to its scripts is taken out: it belongs to the outer project. */
export function runNode(args: readonly string[], cwd: string, path = process.env['PATH']): Ran {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !/^npm_(package|lifecycle|config_local)/.test(key)),
  )
  const ran = spawnSync(process.execPath, args, { cwd, encoding: 'utf8', env: { ...env, PATH: path } })
  return { code: ran.status, output: `${ran.stdout}${ran.stderr}` }
}

function succeed(ran: Ran, what: string): string {
  if (ran.code !== 0) throw new Error(`${what} ended with ${ran.code}:\n${ran.output}`)
  return ran.output
}

export class Installation {
  readonly folder = mkdtempSync(join(tmpdir(), 'mm-prm-package-'))
  readonly project = join(this.folder, 'project')
  readonly installed = join(this.project, 'node_modules/mm-prm')
  /** The only folder of the bare PATH: node, and the shell that npm itself needs. */
  readonly bin = join(this.folder, 'bin')
  readonly #npm = which('npm')

  /** Packs what `files` names; with `prebuild` the built addon goes in under the name that prebuildify gives it. */
  constructor(options: { prebuild: boolean }) {
    for (const folder of [this.project, this.bin]) mkdirSync(folder)
    for (const program of ['node', 'sh', 'env'])
      symlinkSync(program === 'node' ? process.execPath : which(program), join(this.bin, program))
    const stage = join(this.folder, 'stage')
    for (const name of [...MANIFEST.files, 'package.json', 'README.md', 'LICENSE']) {
      if (!name.startsWith('!') && name !== 'prebuilds') cpSync(join(ROOT, name), join(stage, name), { recursive: true })
    }
    if (options.prebuild) {
      cpSync(join(ROOT, 'build/Release/mm_prm.node'), join(stage, 'build/Release/mm_prm.node'))
      // WHY `true` in the place of node-gyp: the addon is built already; naming and stripping are what is wanted.
      succeed(runNode([PREBUILDIFY, '--napi', '--strip', '--tag-libc', '--node-gyp', which('true')], stage), 'prebuildify')
    }
    succeed(runNode([this.#npm, 'pack', '--ignore-scripts', '--pack-destination', this.folder], stage), 'npm pack')
    writeFileSync(join(this.project, 'package.json'), '{ "name": "empty", "private": true }\n')
  }

  get tarball(): string {
    return join(this.folder, readdirSync(this.folder).find((name) => name.endsWith('.tgz')) as string)
  }

  /** Installs the tarball, and others beside it. */
  install(path: string, ...others: string[]): Ran {
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
    return runNode([this.#npm, 'install', ...flags, this.tarball, ...others], this.project, path)
  }

  /** Runs a module of this content inside the project. */
  run(name: string, content: string, path: string): Ran {
    writeFileSync(join(this.project, name), content)
    return runNode([name], this.project, path)
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** A program for the project: scores a golden case with its picture in fp32, prints scores beside the expected ones. */
export function scoringProgram(model: string): string {
  return `
    import { readFileSync } from 'node:fs'
    import { Engine } from 'mm-prm'
    const model = ${JSON.stringify(model)}
    const { cases } = JSON.parse(readFileSync(model + '/golden.json', 'utf8'))
    const { question, solutions, image, maxTiles, scores: expected } = cases.find((c) => c.kind === 'scoreSolutions' && c.image)
    const engine = await Engine.open({ model, weights: 'f32' })
    const scores = await engine.scoreSteps({ question, solutions, image: model + '/' + image, maxTiles })
    await engine.close()
    console.log(JSON.stringify({ scores, expected }))`
}
