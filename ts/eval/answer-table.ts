/** Solution-level results as tables for people; the first row of each is its head. */
import { HEADLINE } from './answer-results.ts'
import type { AnswerBlock, AnswerTaskResults, Selected } from './results.ts'

export interface Table {
  readonly title: string
  readonly rows: string[][]
}

const percent = (value: number | null) => (value === null ? '–' : (100 * value).toFixed(1))
const signed = (value: number | null) => (value === null ? '–' : `${value >= 0 ? '+' : '−'}${percent(Math.abs(value))}`)

/** A range where undecided solutions leave one. */
const accuracyText = ({ accuracy, accuracyIfUndecidedRight: most }: Pick<Selected, 'accuracy' | 'accuracyIfUndecidedRight'>) =>
  most !== null && accuracy !== null && most - accuracy > 1e-12 ? `${percent(accuracy)}–${percent(most)}` : percent(accuracy)
const within = ({ low, high }: { low: number | null; high: number | null }) => `${percent(low)} to ${percent(high)}`
const gainWithin = (s: Selected) => `${signed(s.gainLow)} to ${signed(s.gainHigh)}`

type Answers = Readonly<Record<string, AnswerTaskResults>>

/** Rows as in the paper's table: the policy, with the PRM's choice, and what that gains; official rules where they differ. */
export function paperTable(tasks: Answers): Table {
  const names = Object.keys(tasks)
  const headline = (block: AnswerBlock) => block.prm?.selection[block.prm.headline]
  const row = (
    title: string,
    cell: (block: AnswerBlock) => string,
    blockOf: (task: AnswerTaskResults) => AnswerBlock | undefined,
  ) => [
    title,
    ...names.map((name) => {
      const block = blockOf(tasks[name] as AnswerTaskResults)
      return block ? cell(block) : '–'
    }),
  ]
  const rowsOf = (suffix: string, blockOf: (task: AnswerTaskResults) => AnswerBlock | undefined) => {
    const hasPrm = names.some((name) => blockOf(tasks[name] as AnswerTaskResults)?.prm)
    const one = (cell: (s: Selected) => string) => (block: AnswerBlock) => {
      const chosen = headline(block)
      return chosen ? cell(chosen) : '–'
    }
    return [
      row(`policy${suffix}`, ({ policy }) => `${accuracyText(policy)} (${within(policy)})`, blockOf),
      ...(hasPrm
        ? [
            row(`+ PRM${suffix}`, one((s) => `${accuracyText(s)} (${within(s)})`), blockOf), // biome-ignore format: one row
            row(`gain${suffix}`, one((s) => `${signed(s.gain)} (${gainWithin(s)})`), blockOf), // biome-ignore format: one row
          ]
        : []),
    ]
  }
  const differ = names.some((name) => {
    const { official, ...ours } = tasks[name] as AnswerTaskResults
    const figures = (block: AnswerBlock) => [accuracyText(block.policy), block.prm && accuracyText(headline(block) as Selected)]
    return official && String(figures(official)) !== String(figures(ours))
  })
  return {
    title: 'Accuracy in %, with 95 % intervals',
    rows: [
      ['', ...names],
      ...rowsOf('', (task) => task),
      ...(differ ? rowsOf(', official rules', (task) => (task.grade === 'official' ? task : task.official)) : []),
    ],
  }
}

function choiceRows(block: AnswerBlock): string[][] {
  const { policy, prm } = block
  const line = (name: string, s: Selected) => [name, accuracyText(s), within(s), signed(s.gain), gainWithin(s)]
  return [
    ...Object.entries(policy.passAt).map(([k, value]) => {
      const interval = policy.passWithin[k]
      return [`pass@${k}`, k === '1' ? accuracyText(policy) : percent(value), interval ? within(interval) : '', '', '']
    }),
    line('majority', policy.majority),
    ...(prm ? [line('weighted vote', prm.weighted)] : []),
    ...Object.entries(prm?.selection ?? {}).map(([name, s]) => line(name === HEADLINE ? `${name} (quoted)` : name, s)),
    line('oracle', policy.oracle),
  ]
}

export function choiceTable(name: string, task: AnswerTaskResults): Table {
  return {
    title: `${name}: what chooses, by ${task.grade === 'ours' ? 'our own' : 'the official'} grading`,
    rows: [['choice', 'accuracy', '95 % interval', 'gain', '95 % interval'], ...choiceRows(task)],
  }
}

export function sweepTable(name: string, { prm }: AnswerTaskResults): Table | undefined {
  if (!prm) return undefined
  const sizes = Object.keys(Object.values(prm.sweep)[0] ?? {})
  const rows = Object.entries(prm.sweep).map(([aggregation, by]) => [aggregation, ...sizes.map((k) => percent(by[k] ?? null))])
  return { title: `${name}: best of N`, rows: [['aggregation', ...sizes.map((k) => `N = ${k}`)], ...rows] }
}

export function categoryTable(name: string, { categories }: AnswerTaskResults): Table | undefined {
  const rows = Object.entries(categories).flatMap(([dimension, values]) =>
    Object.entries(values).map(([value, { total, policy, prm }]) => {
      return [dimension, value, String(total), percent(policy), prm === undefined ? '–' : percent(prm)]
    }),
  )
  if (rows.length === 0) return undefined
  return { title: `${name}: by category`, rows: [['dimension', 'value', 'problems', 'policy', '+ PRM'], ...rows] }
}

export function countTable(tasks: Answers): Table {
  const names = Object.keys(Object.values(tasks)[0]?.counts ?? {}) as (keyof AnswerTaskResults['counts'])[]
  const rows = Object.entries(tasks).map(([name, { counts }]) => [name, ...names.map((key) => String(counts[key]))])
  return { title: 'Counts', rows: [['task', ...names], ...rows] }
}

/** One row per task, grading and choice. */
export function longRows(tasks: Answers): string[][] {
  const cell = (value: number | null) => (value === null ? '' : String(value))
  const of = (task: string, grade: string, block: AnswerBlock) => {
    const line = (name: string, s: Selected) => [
      ...[task, grade, name, cell(s.accuracy), cell(s.accuracyIfUndecidedRight), cell(s.low), cell(s.high)],
      ...[cell(s.gain), cell(s.gainLow), cell(s.gainHigh)],
    ]
    const { policy, prm } = block
    const pass = { ...policy, gain: null, gainLow: null, gainHigh: null }
    return [
      line('policy', pass),
      line('majority', policy.majority),
      line('oracle', policy.oracle),
      ...(prm ? [line('weighted', prm.weighted)] : []),
      ...Object.entries(prm?.selection ?? {}).map(([name, s]) => line(name, s)),
    ]
  }
  const head = ['task', 'grade', 'choice', 'accuracy', 'accuracyIfUndecidedRight', 'low', 'high', 'gain', 'gainLow', 'gainHigh']
  return [
    head,
    ...Object.entries(tasks).flatMap(([name, task]) => [
      ...of(name, task.grade, task),
      ...(task.official ? of(name, 'official', task.official) : []),
    ]),
  ]
}
