/** The script for a card, where there is none: a part that hangs costs the others nothing, and figures below a bar name what costs them. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'mm-prm-gpu-check-'))
const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'))

const test = suite('gpu-check')
test.after(() => rmSync(folder, { recursive: true }))

/** A process that ended, within a moment; one that nobody has taken note of yet is a Z. */
async function isGone(pid: string): Promise<boolean> {
  for (let i = 0; i < 100; i++) {
    const place = `/proc/${pid}/stat`
    const state = existsSync(place) ? /\) (\w)/.exec(readFileSync(place, 'utf8'))?.[1] : 'Z'
    if (state === 'Z') return true
    await setTimeout(50)
  }
  return false
}

test('a part that hangs is ended with all that it started, says so, and the next one runs', async () => {
  const bin = join(folder, 'bin')
  const out = join(folder, 'out')
  mkdirSync(bin)
  mkdirSync(out)
  writeFileSync(join(out, 'part2.json'), '{"failed": 0}') // of an earlier run
  // The first call hangs, the next ones know no card.
  const pid = join(folder, 'pid')
  const hangs = `#!/bin/bash\n[[ -e ${pid} ]] && exit 1\necho $$ >${pid}\nexec sleep 1000\n`
  writeFileSync(join(bin, 'nvidia-smi'), hangs)
  chmodSync(join(bin, 'nvidia-smi'), 0o755)
  const { status, stdout } = spawnSync('bash', ['scripts/gpu-check.sh', '--parts', '2,9,4', '--limit', '3', '--out', out], {
    cwd: root,
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  })
  assert.is(status, 3, stdout)
  assert.equal(readJson(join(out, 'part2.json')), { part: 2, failed: 1, error: 'not done after 3 s' })
  assert.equal(readJson(join(out, 'part4.json')), { part: 4, failed: 1, error: 'no card: nvidia-smi names none' })
  assert.match(stdout, /there is no part 9/)
  assert.ok(await isGone(readFileSync(pid, 'utf8').trim()), 'what the part started is gone')
})

const ROOF = [{ roof: true, copy_tbs: 4, matmul_tflops: 700, multiprocessors: 132 }]

/** Part 5's files as one run leaves them: one matrix, whose time is `us` where torch's is 100. */
function judged(name: string, grid: { N: number; us: number; empty: number }, roofs: object[] = ROOF) {
  const place = join(folder, name)
  mkdirSync(place)
  const line = { matrix: 'o', N: grid.N, K: 4096, rows: 2048, config: 'wgmma 128x256', weights_tbs: 1 }
  const write = (file: string, lines: object[]) =>
    writeFileSync(join(place, file), lines.map((l) => `${JSON.stringify(l)}\n`).join(''))
  write('grid.jsonl', [
    { ...line, output: 'used', us: grid.us },
    { ...line, output: 'none', us: grid.empty },
  ])
  write('torch.jsonl', [{ matrix: 'o', rows: 2048, us: 100 }])
  write('attention.jsonl', [{ attention: 'decode', us: 10 }])
  write('attention-torch.jsonl', roofs)
  const { status, stdout, stderr } = spawnSync('python3', [join(root, 'bench/cuda/judge.py'), place], { encoding: 'utf8' })
  assert.ok(stdout, stderr)
  return { status, result: JSON.parse(stdout) }
}

test('part 5 tells which of blocks, launch gaps and bytes in flight costs a product its bar', () => {
  const cause = (name: string, grid: { N: number; us: number; empty: number }) => {
    const { status, result } = judged(name, grid)
    assert.is(status, 1)
    assert.is(result.below.length, 1)
    return /^o 2048 rows \(used\): 0\.\d\d of 0\.9; (.+) cost most/.exec(result.below[0])?.[1]
  }
  // 136 tiles for 132 multiprocessors; 128 tiles whose stores take a fifth; 128 tiles that are slow without a store.
  assert.is(cause('blocks', { N: 17 * 128, us: 190, empty: 185 }), 'blocks')
  assert.is(cause('gaps', { N: 16 * 128, us: 125, empty: 100 }), 'launch gaps')
  assert.is(cause('bytes', { N: 16 * 128, us: 125, empty: 122 }), 'bytes in flight')
  const { status, result } = judged('above', { N: 16 * 128, us: 105, empty: 100 })
  assert.equal([status, result.failed, result.below], [0, 0, []])
})

test('part 5 without the rates of the card still judges what it can, and says what is missing', () => {
  const { status, result } = judged('no-roof', { N: 17 * 128, us: 190, empty: 185 }, [{ attention: 'decode', us: 9 }])
  assert.is(status, 1)
  assert.equal(result.missing, ["the card's own rates"])
  assert.match(result.below[0], /0\.53 of 0\.9; bytes in flight cost most \(blocks unknown/)
})

test('part 6 holds scoring and generation to three and five times what transformers takes', () => {
  const script = `import json, sys
sys.path.insert(0, ${JSON.stringify(join(root, 'bench/cuda'))})
from transformers_peer import beside
print(json.dumps([beside(json.loads(a), json.loads(b)) for a, b in zip(sys.argv[1::2], sys.argv[2::2])]))`
  const part = {
    part: 6,
    failed: 1,
    figures: [
      { case: 'decode 16 siblings', ms: 5 },
      { case: 'score 16 solutions of 400 tokens', ms: 200 },
    ],
  }
  const cases = [{ scoring: 700, generation: 26 }, { scoring: 500, generation: 26 }, { error: 'ImportError: no transformers' }]
  const { stdout, stderr } = spawnSync(
    'python3',
    ['-c', script, ...cases.flatMap((taken) => [JSON.stringify(part), JSON.stringify(taken)])],
    {
      encoding: 'utf8',
    },
  )
  assert.ok(stdout, stderr)
  const results = JSON.parse(stdout)
  assert.equal(
    results.map((r: { failed: number }) => r.failed),
    [1, 2, 3],
  )
  assert.equal(
    results[0].beside.ratios.map((r: { times: number }) => r.times),
    [3.5, 5.2],
  )
  assert.is(results[2].beside.error, 'ImportError: no transformers')
})

test.run()
