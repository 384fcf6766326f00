/** How records become rows and rows become records, whatever store has them: the only place that knows both. */
import { createHash } from 'node:crypto'
import type { Outcome } from '../contracts/policy.ts'
import type { Problem, ProblemImage } from '../contracts/problem.ts'
import type {
  CandidateRecord,
  Counts,
  EvaluationRecord,
  RolloutRecord,
  SiblingScores,
  TreeNode,
  VerdictRecord,
} from '../contracts/records.ts'
import type { Row, Value } from './driver.ts'
import { canonicalJson } from './identity.ts'

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

/** @throws Error where the bytes are not those that the hash stands for */
export function checkImage(hash: Value, bytes: Uint8Array | undefined): Uint8Array {
  if (bytes && createHash('sha256').update(bytes).digest('hex') === hash) return bytes
  throw new Error(`the image ${hash} is ${bytes ? 'another' : 'gone'}`)
}

/** Bytes as they were given: a data URI is stored as its text. */
export function imageFrom(bytes: Uint8Array): ProblemImage {
  const isDataUri = Buffer.from(bytes.subarray(0, 5)).toString('latin1').toLowerCase() === 'data:'
  return isDataUri ? Buffer.from(bytes).toString('utf8') : bytes
}

/** A picture as it is written down: where its file is, or the hash of bytes that are kept. */
export interface Reference {
  path: string | null
  hash: string | null
}

/** What a problem has beside the columns of its own, as one text. */
export function restOf({ id, question, answer, image, meta, images, ...rest }: Problem): string {
  const references = images?.map((picture): Reference => {
    const { path, hash } = imageColumns(picture)
    return { path, hash }
  })
  return canonicalJson({ ...rest, ...(references && { images: references }) })
}

/** @param bytesOf what is kept under a hash. @throws Error where it is gone or another */
export function toProblem(row: Row, bytesOf: (hash: Value) => Uint8Array | undefined): Problem {
  const picture = ({ path, hash }: { path: Value | undefined; hash: Value | undefined }) =>
    hash ? imageFrom(checkImage(hash, bytesOf(hash))) : (path as ProblemImage | undefined)
  const image = picture({ path: row['image_path'], hash: row['image_hash'] })
  const { images, ...rest } = row['rest'] ? parsed<Omit<Problem, 'images'> & { images?: Reference[] }>(row['rest']) : {}
  return {
    id: row['id'] as string,
    question: row['question'] as string,
    answer: row['answer'] as string,
    ...(image && { image: image as ProblemImage }),
    ...(images && { images: images.map((reference) => picture(reference) as ProblemImage) }),
    ...(rest as object),
    ...(row['meta'] && { meta: parsed<Record<string, unknown>>(row['meta']) }),
  }
}

export function problemRow(ordinal: number, problem: Problem): Row {
  const { path, hash } = imageColumns(problem.image)
  const { id, question, answer, meta } = problem
  const columns = { ordinal, id, question, answer, image_path: path, image_hash: hash, meta: json(meta), status: 'running' }
  return { ...columns, rest: restOf(problem) }
}

export function verdictRow(problem: number, v: VerdictRecord): Row {
  return { problem, answer: v.answer, match: flag(v.match), method: v.method, raw: optional(v.raw) }
}

export function evaluationRow(problem: number, { prefix, occurrence, seed, counts }: EvaluationRecord): Row {
  const { correct, total, unparsed, truncated } = counts
  const key = evaluationKey(prefix, occurrence)
  return { problem, key, prefix: json(prefix), occurrence, seed, correct, total, unparsed, truncated }
}

export function rolloutRow(problem: number, evaluation: Uint8Array, r: RolloutRecord): Row {
  return {
    ...{ problem, evaluation, idx: r.index, outcome: r.outcome, steps: json(r.steps), text: optional(r.text) },
    ...{ answer: r.answer, correct: flag(r.correct), tokens: optional(r.numTokens) },
  }
}

export function candidateRow(problem: number, c: CandidateRecord): Row {
  return {
    ...{ problem, idx: c.index, outcome: c.outcome, steps: json(c.steps), answer: c.answer, correct: flag(c.correct) },
    ...{ scores: json(c.scores), logits: json(c.logits), std: json(c.std) },
  }
}

/** Under their prefix's key: a search that is gone on with scores them again, to the same. */
export function siblingsRow(problem: number, { prefix, steps, scores, logits, std }: SiblingScores): Row {
  const key = evaluationKey(prefix, 0)
  return {
    problem,
    key,
    ...{ prefix: json(prefix), steps: json(steps), scores: json(scores), logits: json(logits), std: json(std) },
  }
}

/** Nodes in preorder; a node points to the evaluation its counts come from, where there is one. */
export function nodeRows(problem: number, root: TreeNode): Row[] {
  const rows: Row[] = []
  const visit = (node: TreeNode, parent: number | null, before: readonly string[]): void => {
    const prefix = [...before, ...node.steps]
    const ordinal = rows.length
    const evaluation = node.rollouts.length > 0 ? evaluationKey(prefix, node.occurrence ?? 0) : null
    const c = node.counts
    rows.push({
      ...{ problem, ordinal, parent, steps: json(node.steps), evaluation },
      ...{ correct: optional(c?.correct), total: optional(c?.total) },
      ...{ unparsed: optional(c?.unparsed), truncated: optional(c?.truncated) },
      ...{ first_error: flag(node.firstError), terminal: flag(node.terminal), visits: node.visits },
    })
    for (const child of node.children) visit(child, ordinal, prefix)
  }
  visit(root, null, [])
  return rows
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
    ...(row['std'] && { std: parsed<number[]>(row['std']) }),
  }
}

export function toSiblings(problemId: string, row: Row): SiblingScores {
  return {
    problemId,
    prefix: parsed<string[]>(row['prefix']),
    steps: parsed<string[]>(row['steps']),
    scores: parsed<number[]>(row['scores']),
    ...(row['logits'] && { logits: parsed<number[][]>(row['logits']) }),
    ...(row['std'] && { std: parsed<number[]>(row['std']) }),
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

/** Shorter prefixes first, then as texts sort: whatever store they come from. */
export function inOrder(siblings: readonly SiblingScores[]): SiblingScores[] {
  const keyed = siblings.map((group) => ({ group, key: JSON.stringify(group.prefix) }))
  const before = (a: string, b: string) => (a < b ? -1 : Number(a > b))
  return keyed.sort((a, b) => a.group.prefix.length - b.group.prefix.length || before(a.key, b.key)).map(({ group }) => group)
}
