/**
 * A solution-level task: problems with known answers, and how their set's own code grades a response. A new benchmark
 * is one file that exports such a task, and one line in `registry.ts`.
 */
import type { Problem } from '../contracts/problem.ts'
import type { Fields } from '../rows/index.ts'

/** Right or wrong; null where the official rules leave it to a model. */
export type OfficialVerdict = boolean | null

export interface AnswerItem {
  /** Its id is unique within the task. */
  readonly problem: Problem
  /** Why it cannot be asked: it is counted, and no model sees it. */
  readonly refused?: string
  /** Rows of one unit depend on each other: intervals draw units anew, not rows. */
  readonly unit: string
  /** Values by dimension: `{level: ['3'], subject: ['algebra']}`. */
  readonly categories: Readonly<Record<string, readonly string[]>>
  /** The answer in a form of the task's own (JSON, behind a mark); undefined where the response has none of it. */
  read?(response: string): string | undefined
  /** The official code's verdict. @param extraction what a model read of the response, where one was asked */
  official(response: string, extraction?: string | null): OfficialVerdict
}

/** Where a row stood. */
export interface RowPlace {
  /** From 0, in the order of the set. */
  readonly index: number
  /** Folder of its file, against which paths are read. */
  readonly folder: string
  /** Its file's name. */
  readonly file: string
  /** Pictures of other rows by index, for tables that name a row in place of a picture. */
  readonly pictureOf: (index: string) => Problem['image']
}

export interface AnswerTask {
  readonly kind: 'answers'
  readonly name: string
  /** What its figure is, for people. */
  readonly figure: string
  /** Rows of the published set; null: it is made in any number. */
  readonly rows: number | null
  /** Rows of its other parts, by the name of their folder or file. */
  readonly parts?: Readonly<Record<string, number>>
  /** What is independent: `problems`, `composites`, `seeds`. */
  readonly units: string
  /** Forms that the set is stored in: columns that every row of one has. */
  readonly forms: readonly (readonly string[])[]
  /** Whether a row with these columns is one of this set, where they do not tell. */
  recognises?(fields: Fields): boolean
  /** Of several groups of files with these columns, those to take: a file's name, or its folder's. */
  readonly prefers: RegExp
  /** Whether its authors released grading code. */
  readonly hasOfficial: boolean
  item(fields: Fields, at: RowPlace): AnswerItem
  /** The benchmark's own table, where it is more than accuracies by category. @param right null: undecided */
  figures?(items: readonly AnswerItem[], right: readonly (boolean | null)[]): object
}
