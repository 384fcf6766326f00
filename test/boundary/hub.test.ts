/** Models by name, against a local server that speaks the hub's API, well and badly. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { hubSettings } from '../../ts/hub/environment.ts'
import { cachedModels, type PullOptions, type PullProgress, parseName, pull, resolveModel } from '../../ts/hub/index.ts'
import { sendJson } from '../helpers/chat-server.ts'
import { pickCheckpoint } from '../helpers/checkpoint-files.ts'
import { startCli } from '../helpers/cli.ts'
import { COMMIT, HubServer, hashOf } from '../helpers/hub-server.ts'
import { failure, workFolder } from '../helpers/training.ts'

const work = workFolder()
const SINGLE = pickCheckpoint({
  sharded: false,
  vision: false,
  head: 'vocabulary',
  file: 'tokenizer.json',
  scoring: 'recognised',
})
const SHARDED = pickCheckpoint({ sharded: true })
const WEIGHTS = 'model.safetensors'
const TOKEN = 'tok_very-secret-1234'
const ID = 'org/name'

for (const name of Object.keys(process.env)) if (/^(HF_|HUGGING|TRANSFORMERS_)/.test(name)) delete process.env[name]
process.env['HF_HOME'] = join(work, 'home')

let caches = 0
const newCache = () => join(work, `cache-${caches++}`)
const REPO = 'models--org--name'

async function withHub(folder: string, run: (hub: HubServer, options: PullOptions & { cache: string }) => Promise<void>) {
  const hub = await HubServer.start(folder)
  try {
    await run(hub, { model: ID, endpoint: hub.endpoint, cache: newCache() })
  } finally {
    hub.close()
  }
}
const hubTest = (name: string, run: Parameters<typeof withHub>[1], folder = SINGLE) => test(name, () => withHub(folder, run))

/** Without a token, a signature or a password in it. */
async function refused(promise: Promise<unknown>, says: RegExp, code = 'HUB'): Promise<void> {
  const error: EngineError = await failure(promise, code, says)
  assert.not.match(`${error.message}${error.stack}`, /very-secret|signed-secret/)
}

test('names: what may be one on a hub, and what is a path', () => {
  assert.equal(parseName('org/name'), { id: 'org/name', revision: 'main' })
  assert.equal(parseName('Qwen/Qwen2.5-Math-PRM-7B@v1.0'), { id: 'Qwen/Qwen2.5-Math-PRM-7B', revision: 'v1.0' })
  assert.equal(parseName('org/name@refs/pr/1'), { id: 'org/name', revision: 'refs/pr/1' })
  const paths = ['name', './org/name', '/org/name', 'a/b/c', '../name', 'org/', 'org/na--me', 'org/..', 'org/name@', '~/x', 'org/name@a/../b', 'org/name@../x', 'a b/c'] // biome-ignore format: one line
  for (const path of paths) assert.is(parseName(path), undefined, path)
})

test('environment: the words of the Python library', () => {
  const home = join(work, 'somewhere')
  mkdirSync(home, { recursive: true })
  writeFileSync(join(home, 'token'), ` ${TOKEN}\n`)
  const of = (env: Record<string, string>) => hubSettings(env)
  assert.is(of({ HF_HOME: home }).cache, join(home, 'hub'))
  assert.is(of({ HF_HOME: home }).token, TOKEN)
  assert.is(of({ HF_HOME: home, HF_TOKEN: 'other' }).token, 'other')
  assert.is(of({ HF_HOME: home, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' }).token, undefined)
  assert.is(of({ XDG_CACHE_HOME: home }).cache, join(home, 'huggingface/hub'))
  assert.is(of({ HF_HOME: 'x', HUGGINGFACE_HUB_CACHE: join(home, 'a'), HF_HUB_CACHE: join(home, 'b') }).cache, join(home, 'b'))
  assert.equal([of({}).offline, of({ HF_HUB_OFFLINE: '0' }).offline], [false, false])
  assert.equal([of({ HF_HUB_OFFLINE: 'yes' }).offline, of({ TRANSFORMERS_OFFLINE: '1' }).offline], [true, true])
  assert.is(of({ HF_ENDPOINT: 'http://x/' }).endpoint, 'http://x')
})

for (const folder of [SINGLE, SHARDED]) {
  hubTest(
    `a pulled model is laid out as the Python library lays it, and opens (${folder.split('/').at(-1)})`,
    async (hub, options) => {
      const steps: PullProgress[] = []
      const pulled = await pull({ ...options, token: TOKEN, onProgress: (p) => steps.push(p) })
      const repo = join(options.cache, REPO)
      assert.equal(pulled, { id: ID, revision: 'main', commit: COMMIT, path: join(repo, 'snapshots', COMMIT) })
      assert.is(readFileSync(join(repo, 'refs/main'), 'utf8'), COMMIT)
      for (const [name, bytes] of hub.files) {
        if (!/\.(json|txt|model|jinja|safetensors)$/.test(name)) continue
        assert.is(readlinkSync(join(pulled.path, name)), `../../blobs/${hashOf(name, bytes)}`)
        assert.ok(readFileSync(join(pulled.path, name)).equals(bytes), name)
      }
      assert.equal(
        readdirSync(join(repo, 'blobs')).filter((name) => name.includes('incomplete')),
        [],
      )
      const last = steps.at(-1) as PullProgress
      assert.is(last.doneBytes, last.totalBytes)
      steps
        .slice(1)
        .forEach((p, i) =>
          assert.ok(p.doneBytes >= (steps[i] as PullProgress).doneBytes || p.totalBytes !== steps[i]?.totalBytes),
        )
      for (const { origin, authorization } of hub.seen)
        assert.is(authorization, origin === 'hub' ? `Bearer ${TOKEN}` : undefined, 'the token is for the hub alone')
      await (await Engine.open({ model: pulled.path, cpu: { threads: 1 } })).close()
      const before = hub.seen.length
      assert.equal(await pull({ ...options, model: `${ID}@v1` }), { ...pulled, revision: 'v1' })
      assert.ok(
        hub.seen.slice(before).every(({ path }) => path.startsWith('/api/')),
        'nothing is fetched twice',
      )
    },
    folder,
  )
}

/** Sends a part of a large file and breaks the connection, so often. */
function breaking(hub: HubServer, times: number) {
  let left = times
  hub.misbehave = (request, response, url) => {
    const [, from] = /^bytes=(\d+)-/.exec(request.headers.range ?? '') ?? []
    if (!url.pathname.startsWith('/cdn/') || request.headers.range === 'bytes=0-0' || left-- <= 0) return false
    const bytes = hub.files.get(WEIGHTS) as Buffer
    const start = Number(from ?? 0)
    response.writeHead(from ? 206 : 200, { 'content-length': bytes.length - start, etag: '"x"' })
    response.write(bytes.subarray(start, start + Math.floor(bytes.length / 5)), () => setTimeout(() => response.destroy(), 20))
    return true
  }
}

hubTest('a broken connection: the download goes on where it was', async (hub, options) => {
  breaking(hub, 3)
  const { path } = await pull(options)
  assert.ok(readFileSync(join(path, WEIGHTS)).equals(hub.files.get(WEIGHTS) as Buffer))
  const starts = hub
    .fetched(WEIGHTS)
    .filter(({ origin }) => origin === 'files')
    .map(({ range }) => Number(/\d+/.exec(range ?? '0')?.[0]))
  assert.is(starts.length, 4)
  starts.slice(1).forEach((start, i) => assert.ok(start > (starts[i] as number), `${starts}`))
})

hubTest(
  'a download that was stopped goes on in another process’s stead; two at once fetch each file once',
  async (hub, options) => {
    const stop = new AbortController()
    hub.misbehave = (_, response, url) => {
      if (!url.pathname.startsWith('/cdn/') || hub.fetched(WEIGHTS).length === 0) return false
      const bytes = hub.files.get(WEIGHTS) as Buffer
      response.writeHead(200, { 'content-length': bytes.length })
      response.write(bytes.subarray(0, 10_000), () => setTimeout(() => stop.abort(), 100))
      return true
    }
    await refused(pull({ ...options, signal: stop.signal }), /abort/i, 'ABORTED')
    hub.misbehave = () => false
    const before = hub.seen.length
    await refused(pull({ ...options, offline: true }), /holds no model of that name|half of org\/name/)
    const both = await Promise.all([pull(options), pull(options)])
    assert.equal(both[0], both[1])
    const ranges = hub.seen.slice(before).filter(({ path, range }) => path === `/cdn/${WEIGHTS}` && range !== 'bytes=0-0')
    assert.is(ranges.length, 1)
    assert.match(ranges[0]?.range ?? '', /^bytes=10000-/)
  },
)

hubTest('a server without ranges: what came before is fetched again, and is right', async (hub, options) => {
  breaking(hub, 1)
  const breaks = hub.misbehave
  hub.misbehave = (request, response, url) => {
    if (breaks(request, response, url)) return true
    if (url.pathname !== `/cdn/${WEIGHTS}` || request.headers.range === 'bytes=0-0') return false
    response.writeHead(200)
    response.end(hub.files.get(WEIGHTS))
    return true
  }
  const { path } = await pull(options)
  assert.ok(readFileSync(join(path, WEIGHTS)).equals(hub.files.get(WEIGHTS) as Buffer))
})

hubTest('wrong bytes are refused by their hash, whether they come now or came before', async (hub, options) => {
  const right = hub.files.get(WEIGHTS) as Buffer
  const wrong = Buffer.from(right)
  wrong[wrong.length - 1] = (wrong.at(-1) as number) ^ 1
  hub.misbehave = (request, response, url) => {
    if (!url.pathname.startsWith('/cdn/') || request.headers.range === 'bytes=0-0') return false
    response.writeHead(200)
    response.end(wrong)
    return true
  }
  await refused(pull(options), new RegExp(`org/name: ${WEIGHTS} came with the hash [0-9a-f]{64}, but ${hashOf(WEIGHTS, right)}`))
  const repo = join(options.cache, REPO)
  assert.not.ok(existsSync(join(repo, 'snapshots', COMMIT, WEIGHTS)))
  await refused(
    pull({ ...options, model: `${ID}@${COMMIT}`, offline: true }),
    new RegExp(`half of org/name: ${WEIGHTS} not there; .*offline`),
  )
  hub.misbehave = () => false
  writeFileSync(join(repo, 'blobs', `${hashOf(WEIGHTS, right)}.mm-prm.incomplete`), wrong.subarray(-5000))
  const { path } = await pull(options)
  assert.ok(readFileSync(join(path, WEIGHTS)).equals(right))
})

type Answer = (response: ServerResponse, url: URL, request: IncomingMessage) => void
const says =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (r) =>
    sendJson(r, status, body, headers)
const text =
  (status: number, body: string): Answer =>
  (response) => {
    response.writeHead(status, { 'content-type': 'text/html' })
    response.end(body)
  }
const API = /^\/api\/models\/org\/name\/revision/
const TREE = /\/tree\//
const REFUSALS: [name: string, at: RegExp, answer: Answer, message: RegExp, token?: string][] = [
  ['401 without a token', API, says(401, { error: 'Invalid username or password.' }), /\/api\/models\/org\/name.* answers 401: .*needs a token: set HF_TOKEN/],
  ['401 that quotes the token', API, says(401, { error: `bad ${TOKEN}` }), /answers 401: .*the token in use has no right/, TOKEN],
  ['a gated model', API, says(403, { error: 'gated' }, { 'x-error-code': 'GatedRepo' }), /answers 403: its terms are to be accepted/, TOKEN],
  ['a gated file', /resolve/, says(403, { error: 'gated' }, { 'x-error-code': 'GatedRepo' }), /resolve\/.* answers 403: its terms/],
  ['404', API, says(404, { error: 'Repository not found' }), /answers 404: no such model/],
  ['a file that is gone', /resolve.*tokenizer\.json/, says(404, {}, { 'x-error-code': 'EntryNotFound' }), /tokenizer\.json answers 404: no such file/],
  ['an error that quotes a secret', API, says(500, { error: `at http://u:very-secret@x/ ${TOKEN}` }), /answers 500: at http:\/\/\*\*\*@x\/ \*\*\*/, TOKEN],
  ['a page of a proxy', API, text(200, '<html>log in</html>'), /does not answer as a hub does/],
  ['a page where files are listed', TREE, text(200, '<html>'), /does not answer as a hub does/],
  ['no commit', API, says(200, { id: 'org/name' }), /does not answer as a hub does: "sha" is absent/],
  ['a commit that is a path', API, says(200, { id: 'org/name', sha: '../../x' }), /"sha" is "\.\.\/\.\.\/x"/],
  ['files without hashes', TREE, says(200, [{ type: 'file', path: 'config.json', size: 3 }]), /no hash or size of config\.json/],
  ['a hash that is a path', TREE, says(200, [{ type: 'file', path: 'config.json', size: 3, oid: '../../../x' }]), /no hash or size/],
  ['a list that is none', TREE, says(200, { a: 1 }), /does not answer as a hub does/],
  ['no weights', TREE, says(200, []), /holds no model\.safetensors/],
  ['pickled weights', TREE, says(200, [{ type: 'file', path: 'pytorch_model.bin', size: 3, oid: COMMIT }]), /pytorch_model\.bin is not read/],
  ['silence', API, () => {}, /cannot be read: no answer within 0\.3 s/],
] // biome-ignore format: one case per line
for (const [name, at, answer, message, token] of REFUSALS) {
  hubTest(`a hub that answers badly: ${name}`, async (hub, options) => {
    process.env['HF_HUB_DOWNLOAD_TIMEOUT'] = '0.3'
    hub.misbehave = (request, response, url) => {
      if (!at.test(url.pathname)) return false
      answer(response, url, request)
      return true
    }
    await refused(pull({ ...options, ...(token && { token }) }), message)
    delete process.env['HF_HUB_DOWNLOAD_TIMEOUT']
    assert.not.ok(existsSync(join(options.cache, REPO, 'refs')), 'half a model has no ref')
  })
}

hubTest('user and password in the address go to the hub alone, and into no text', async (hub, options) => {
  const endpoint = hub.endpoint.replace('://', '://someone:very-secret@')
  await pull({ ...options, endpoint })
  const basic = `Basic ${Buffer.from('someone:very-secret').toString('base64')}`
  for (const { origin, authorization } of hub.seen) assert.is(authorization, origin === 'hub' ? basic : undefined)
  const answers: [Answer, RegExp][] = [
    [text(200, '<html>'), /org\/name: http:\/\/127\.0\.0\.1:\d+ does not answer as a hub does/],
    [says(200, {}), /http:\/\/127\.0\.0\.1:\d+ does not answer as a hub does: "sha" is absent/],
    [says(403, { error: `${basic} of http://someone:very-secret@hub` }), /answers 403/],
    [(response) => response.destroy(), /http:\/\/127\.0\.0\.1:\d+\/api\/.* cannot be read/],
  ]
  for (const [answer, message] of answers) {
    hub.misbehave = (request, response, url) => {
      answer(response, url, request)
      return true
    }
    await refused(pull({ ...options, endpoint, cache: newCache() }), message)
  }
  for (const address of ['hub.example', 'ftp://someone:very-secret@hub', 'http://'])
    await refused(
      pull({ ...options, endpoint: address, cache: newCache() }),
      /HF_ENDPOINT\) must be a URL of http or https, not "/,
    )
})

hubTest('no such revision; a file that always breaks ends after some tries, and what came is kept', async (hub, options) => {
  await refused(pull({ ...options, model: `${ID}@nope` }), /answers 404: no such revision/)
  hub.misbehave = (request, response, url) => {
    if (!url.pathname.startsWith('/cdn/') || request.headers.range === 'bytes=0-0') return false
    response.writeHead(503)
    response.end('busy')
    return true
  }
  await refused(pull(options), new RegExp(`org/name: ${WEIGHTS} of http.*busy, 5 times; what came is kept`))
})

hubTest('paths that lead out of the folder are no files of a model', async (hub, options) => {
  for (const name of ['../evil.json', '..', 'sub/x.json', '/abs.json']) hub.files.set(name, Buffer.from('{}'))
  const { path } = await pull(options)
  assert.not.ok(readdirSync(path).some((name) => /evil|abs|sub/.test(name)))
  assert.equal(readdirSync(join(path, '..')), [COMMIT])
})

hubTest(
  'offline: the cache alone, without a request; a hub that cannot be reached: the cache, with a warning',
  async (hub, options) => {
    const { path } = await pull(options)
    const before = hub.seen.length
    assert.is((await pull({ ...options, offline: true })).path, path)
    process.env['HF_HUB_OFFLINE'] = '1'
    assert.is(await resolveModel(options), path)
    await refused(
      pull({ ...options, model: 'org/other' }),
      /org\/other@main: no such folder here, and .* holds no model of that name .*offline/,
    )
    delete process.env['HF_HUB_OFFLINE']
    assert.is(hub.seen.length, before)
    hub.close()
    const warnings: string[] = []
    assert.is((await pull({ ...options, onWarning: (w) => warnings.push(w) })).path, path)
    assert.match(warnings.join(), /cannot be read: .*the copy in the cache is used/)
    await refused(pull({ ...options, model: 'org/other' }), /org\/other: http.* cannot be read/)
  },
)

hubTest('a folder wins over a name, and nothing else is asked of the hub', async (hub, options) => {
  const here = process.cwd()
  mkdirSync(join(work, 'cwd/org/name'), { recursive: true })
  process.chdir(join(work, 'cwd'))
  try {
    for (const model of [ID, 'name', './org/none', '/org/none', 'a/b/c'])
      assert.is(await resolveModel({ ...options, model }), model)
  } finally {
    process.chdir(here)
  }
  assert.is(hub.seen.length, 0)
  await failure(pull({ ...options, model: 'name' }), 'INVALID_ARGUMENT', /"name" is no name of a model/)
})

hubTest(
  'what the Python library began is taken over; broken links and blobs of a wrong size are fetched again',
  async (hub, options) => {
    const repo = join(options.cache, REPO)
    const snapshot = join(repo, 'snapshots', COMMIT)
    mkdirSync(snapshot, { recursive: true })
    mkdirSync(join(repo, 'blobs'))
    mkdirSync(join(repo, 'refs'))
    writeFileSync(join(repo, 'refs/main'), COMMIT)
    const place = (name: string, bytes: Buffer | undefined) => {
      const hash = hashOf(name, hub.files.get(name) as Buffer)
      if (bytes) writeFileSync(join(repo, 'blobs', hash), bytes)
      symlinkSync(`../../blobs/${hash}`, join(snapshot, name))
    }
    place('config.json', hub.files.get('config.json'))
    place('tokenizer.json', undefined)
    place(WEIGHTS, hub.files.get(WEIGHTS)?.subarray(0, 1000))
    writeFileSync(join(repo, 'blobs', 'x.incomplete'), 'half')
    const { path } = await pull(options)
    for (const name of ['config.json', 'tokenizer.json', WEIGHTS]) {
      assert.ok(readFileSync(join(path, name)).equals(hub.files.get(name) as Buffer), name)
      assert.ok(lstatSync(join(path, name)).isSymbolicLink())
    }
    assert.is(hub.fetched('config.json').length, 0)
    const { models } = await cachedModels({ cache: options.cache })
    assert.equal(
      models.map(({ id, revisions, missing }) => [id, revisions, missing]),
      [[ID, ['main'], []]],
    )
    rmSync(join(path, WEIGHTS))
    assert.equal((await cachedModels({ cache: options.cache })).models[0]?.missing, [WEIGHTS])
  },
)

hubTest('mm-prm pull, models, inspect and generate take a name; no secret is shown', async (hub, { cache, endpoint = '' }) => {
  const input = join(work, 'in.jsonl')
  writeFileSync(input, '{"id":1,"question":"What is 2 + 3?"}\n')
  const generate = ['generate', '--model', ID, '--input', input, '--max-tokens', '3']
  const outputs: string[] = []
  const run = async (...args: string[]) => {
    const env = { ...process.env }
    Object.assign(process.env, { HF_HUB_CACHE: cache, HF_ENDPOINT: endpoint, HF_TOKEN: TOKEN })
    const { ended } = startCli(args)
    process.env = env
    const result = await ended
    outputs.push(result.stdout, result.stderr)
    return result
  }
  const early = await run(...generate, '--offline')
  assert.is(early.code, 1)
  assert.match(early.stderr, /org\/name@main: no such folder here.*offline.*ERR_ENGINE_HUB/)
  assert.is(hub.seen.length, 0)
  const first = await run(...generate)
  assert.is(first.code, 0, first.stderr)
  assert.match(first.stderr, /fetching org\/name .* MB/)
  const again = await run(...generate, '--offline')
  assert.equal([again.code, again.stdout], [0, first.stdout])
  const pulled = await run('pull', `${ID}@v1`, '--json')
  assert.is(JSON.parse(pulled.stdout).path, join(cache, REPO, 'snapshots', COMMIT))
  assert.match((await run('models')).stdout, /org\/name +main v1 +0123456789ab +[\d.]+ MB +whole/)
  assert.is((await run('inspect', ID, '--json')).code, 0)
  hub.misbehave = (_, response) => {
    sendJson(response, 401, { error: TOKEN })
    return true
  }
  assert.match((await run('pull', ID)).stderr, /answers 401/)
  assert.match((await run('pull', 'name')).stderr, /"name" is no name of a model/)
  assert.not.match(outputs.join(''), /very-secret|signed-secret/)
})

test.run()
