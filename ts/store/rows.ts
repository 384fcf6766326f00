/** How records become rows and rows become records: the only place that knows both. */
import { createHash } from 'node:crypto'
import type { Outcome } from '../contracts/policy.ts'
import type { Problem, ProblemImage } from '../contracts/problem.ts'
import type { CandidateRecord, Counts, EvaluationRecord, RolloutRecord, TreeNode, VerdictRecord } from '../contracts/records.ts'
import { Digests, digestKey } from './digest.ts'
import type { Database, Row, Statement, Value } from './driver.ts'

/** Key of an evaluation within its problem. */
export function evaluationKey(prefix: readonly string[], occurrence: number): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([prefix, occurrence]))
    .digest()
    .subarray(0, 16)
}

const flag = (value: boolean | null): Value => (value === null ? null : Number(value))
const optional = (value: string | number | undefined): Value => value ?? null
const json = (value: unknown): Value => (value === undefined ? null : JSON.stringify(value))
const parsed = <T>(value: Value | undefined): T => JSON.parse(String(value)) as T
const toFlag = (value: Value | undefined): boolean | null => (value === null || value === undefined ? null : value === 1)

function insert(db: Database, table: string, columns: readonly string[], verb = 'INSERT'): Statement {
  return db.prepare(`${verb} INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`)
}

/** Image as columns: a path stays a path, bytes and data URIs are stored once by hash. */
export function imageColumns(image: ProblemImage | undefined): {
  path: string | null
  hash: string | null
  bytes: Uint8Array | null
} {
  if (image === undefined) return { path: null, hash: null, bytes: null }
  if (typeof image === 'string' && !/^data:/i.test(image)) return { path: image, hash: null, bytes: null }
  const bytes = typeof image === 'string' ? Buffer.from(image, 'utf8') : image
  return { path: null, hash: createHash('sha256').update(bytes).digest('hex'), bytes }
}

/** The bytes that an image's hash stands for. @throws Error where they are others */
function imageOf(hash: Value, images: Statement): Uint8Array {
  const bytes = images.get(hash)?.['bytes'] as Uint8Array | undefined
  if (bytes && createHash('sha256').update(bytes).digest('hex') === hash) return bytes
  throw new Error(`the image ${hash} is ${bytes ? 'another' : 'gone'}`)
}

export function toProblem(row: Row, images: Statement): Problem {
  const hash = row['image_hash']
  const bytes = hash ? imageOf(hash, images) : undefined
  const isDataUri = bytes && Buffer.from(bytes.subarray(0, 5)).toString('latin1').toLowerCase() === 'data:'
  const image = isDataUri ? Buffer.from(bytes).toString('utf8') : (bytes ?? row['image_path'])
  return {
    id: row['id'] as string,
    question: row['question'] as string,
    answer: row['answer'] as string,
    ...(image && { image: image as ProblemImage }),
    ...(row['meta'] && { meta: parsed<Record<string, unknown>>(row['meta']) }),
  }
}

/** Prepared inserts of one connection. */
export class RowWriter {
  readonly #images: Statement
  readonly #problem: Statement
  readonly #evaluation: Statement
  readonly #rollout: Statement
  readonly #verdict: Statement
  readonly #node: Statement
  readonly #candidate: Statement
  readonly #timing: Statement
  readonly #status: Statement
  readonly #digest: Statement
  readonly #digests: Digests

  constructor(db: Database) {
    this.#images = db.prepare('INSERT OR IGNORE INTO images (hash, bytes) VALUES (?, ?)')
    this.#problem = insert(db, 'problems', ['ordinal', 'id', 'question', 'answer', 'image_path', 'image_hash', 'meta', 'status'])
    const counts = ['correct', 'total', 'unparsed', 'truncated']
    this.#evaluation = insert(db, 'evaluations', ['problem', 'key', 'prefix', 'occurrence', 'seed', ...counts])
    const rollout = ['problem', 'evaluation', 'idx', 'outcome', 'steps', 'text', 'answer', 'correct', 'tokens']
    this.#rollout = insert(db, 'rollouts', rollout)
    this.#verdict = insert(db, 'verdicts', ['problem', 'answer', 'match', 'method', 'raw'])
    const node = ['problem', 'ordinal', 'parent', 'steps', 'evaluation', ...counts, 'first_error', 'terminal', 'visits']
    this.#node = insert(db, 'nodes', node)
    const candidate = ['problem', 'idx', 'outcome', 'steps', 'answer', 'correct', 'scores', 'logits']
    this.#candidate = insert(db, 'candidates', candidate, 'INSERT OR REPLACE')
    this.#timing = insert(db, 'timings', ['problem', 'evaluation', 'written_at_ms', 'elapsed_ms'])
    this.#digest = insert(db, 'run', ['key', 'value'], 'INSERT OR REPLACE')
    this.#digests = new Digests(db)
    this.#status = db.prepare('UPDATE problems SET status = ?, reason = ?, searches = ?, rollouts = ? WHERE ordinal = ?')
  }

  problem(ordinal: number, problem: Problem): void {
    const { path, hash, bytes } = imageColumns(problem.image)
    if (hash && bytes) this.#images.run(hash, bytes)
    this.#problem.run(ordinal, problem.id, problem.question, problem.answer, path, hash, json(problem.meta), 'running')
  }

  status(problem: number, status: string, reason: string | null, searches: number | null, rollouts: number | null): void {
    this.#status.run(status, reason, searches, rollouts, problem)
  }

  /** To be written last: over everything that the problem has. */
  digest(problem: number): void {
    this.#digest.run(digestKey(problem), this.#digests.of(problem))
  }

  verdict(problem: number, v: VerdictRecord): void {
    this.#verdict.run(problem, v.answer, flag(v.match), v.method, optional(v.raw))
  }

  evaluation(problem: number, e: EvaluationRecord, elapsedMs: number): void {
    const key = evaluationKey(e.prefix, e.occurrence)
    const { correct, total, unparsed, truncated } = e.counts
    this.#evaluation.run(problem, key, json(e.prefix), e.occurrence, e.seed, correct, total, unparsed, truncated)
    for (const r of e.rollouts) {
      const judged = [r.answer, flag(r.correct), optional(r.numTokens)]
      this.#rollout.run(problem, key, r.index, r.outcome, json(r.steps), optional(r.text), ...judged)
    }
    this.#timing.run(problem, key, Date.now(), elapsedMs)
  }

  candidate(problem: number, c: CandidateRecord): void {
    this.#candidate.run(problem, c.index, c.outcome, json(c.steps), c.answer, flag(c.correct), json(c.scores), json(c.logits))
  }

  /** Nodes in preorder; a node points to the evaluation its counts come from, where there is one. */
  tree(problem: number, root: TreeNode): void {
    let ordinal = 0
    const visit = (node: TreeNode, parent: number | null, before: readonly string[]): void => {
      const prefix = [...before, ...node.steps]
      const own = ordinal++
      const evaluated = node.rollouts.length > 0
      const c = node.counts
      this.#node.run(
        ...[problem, own, parent, json(node.steps), evaluated ? evaluationKey(prefix, node.occurrence ?? 0) : null],
        ...[optional(c?.correct), optional(c?.total), optional(c?.unparsed), optional(c?.truncated)],
        ...[flag(node.firstError), flag(node.terminal), node.visits],
      )
      for (const child of node.children) visit(child, own, prefix)
    }
    visit(root, null, [])
  }
}

export function toCounts(row: Row): Counts {
  return {
    correct: row['correct'] as number,
    total: row['total'] as number,
    unparsed: row['unparsed'] as number,
    truncated: row['truncated'] as number,
  }
}

export function toRollout(row: Row): RolloutRecord {
  return {
    index: row['idx'] as number,
    outcome: row['outcome'] as Outcome,
    steps: parsed<string[]>(row['steps']),
    ...(typeof row['text'] === 'string' && { text: row['text'] }),
    answer: row['answer'] as string | null,
    correct: toFlag(row['correct']),
    ...(typeof row['tokens'] === 'number' && { numTokens: row['tokens'] }),
  }
}

export function toVerdict(problemId: string, row: Row): VerdictRecord {
  return {
    problemId,
    answer: row['answer'] as string,
    match: row['match'] === 1,
    method: row['method'] as string,
    ...(typeof row['raw'] === 'string' && { raw: row['raw'] }),
  }
}

export function toEvaluation(problemId: string, row: Row, rollouts: RolloutRecord[]): EvaluationRecord {
  return {
    problemId,
    prefix: parsed<string[]>(row['prefix']),
    occurrence: row['occurrence'] as number,
    seed: row['seed'] as number,
    counts: toCounts(row),
    rollouts,
  }
}

export function toCandidate(problemId: string, row: Row): CandidateRecord {
  return {
    problemId,
    index: row['idx'] as number,
    outcome: row['outcome'] as Outcome,
    steps: parsed<string[]>(row['steps']),
    answer: row['answer'] as string | null,
    correct: toFlag(row['correct']),
    ...(row['scores'] && { scores: parsed<number[]>(row['scores']) }),
    ...(row['logits'] && { logits: parsed<number[][]>(row['logits']) }),
  }
}

/** Children under their parents: rows in preorder become one tree. */
export function toTree(rows: readonly Row[], rolloutsOf: (evaluation: Value) => RolloutRecord[]): TreeNode {
  const nodes: (TreeNode & { children: TreeNode[] })[] = []
  for (const row of rows) {
    const node = {
      steps: parsed<string[]>(row['steps']),
      counts: row['total'] === null ? null : toCounts(row),
      firstError: row['first_error'] === 1,
      terminal: row['terminal'] === 1,
      visits: row['visits'] as number,
      rollouts: row['evaluation'] ? rolloutsOf(row['evaluation']) : [],
      children: [],
    }
    nodes.push(node)
    if (row['parent'] !== null) nodes[row['parent'] as number]?.children.push(node)
  }
  const root = nodes[0]
  if (!root) throw new Error('a finished problem has no nodes')
  return root
}
