/** `mm-prm verify`: whether predicted answers equal gold ones, line by line. */
import { invalidArgument } from '../contracts/errors.ts'
import { inputBytes, readJsonLines } from '../contracts/json-lines.ts'
import { type VerifyOptions, verifyAnswer } from '../verify/index.ts'
import { type Command, EXIT, readOptions, required } from './command.ts'
import { badLine, type LineId, standardOutput } from './lines.ts'
import { Progress } from './progress.ts'

const USAGE = `usage: mm-prm verify --input FILE.jsonl

Each line is {"id"?, "gold", "pred", "extract"?, "precision"?, "strict"?, "allowSetRelation"?, "choices"?}; each output
line {"id", "match", "method"}, in input order. Without "extract" (a list of latex, expr) the answer is what the text marks
as such (an <answer> tag, a box, "the answer is"), else the text as it stands, and of a sentence what it concludes. What is
too long, too deep or too large to tell has the method "undecided", with a "reason". A bad line becomes {"id", "error"} in
its place, and the exit code is then ${EXIT.someLinesBad}.

  --input FILE       JSON lines; - for standard input`

interface VerifyLine {
  id: LineId
  gold: string
  pred: string
  options: VerifyOptions
}

function optional<T>(value: unknown, name: string, good: (v: unknown) => boolean, what: string): T | undefined {
  if (value === undefined || value === null) return undefined
  if (!good(value)) throw invalidArgument(`"${name}" must be ${what}`)
  return value as T
}

const isBoolean = (v: unknown) => typeof v === 'boolean'
const isStrings = (v: unknown) => Array.isArray(v) && v.every((s) => typeof s === 'string')

function readLine(value: Record<string, unknown>): VerifyLine {
  const { id, gold, pred } = value
  if (id !== undefined && id !== null && typeof id !== 'string' && typeof id !== 'number')
    throw invalidArgument('"id" must be a string or a number')
  if (typeof gold !== 'string') throw invalidArgument('"gold" must be a string')
  if (typeof pred !== 'string') throw invalidArgument('"pred" must be a string')
  const isKinds = (v: unknown) => isStrings(v) && (v as string[]).every((k) => k === 'latex' || k === 'expr')
  return {
    id: id ?? null,
    gold,
    pred,
    options: {
      extract: optional(value['extract'], 'extract', isKinds, 'a list of "latex" and "expr"'),
      precision: optional(
        value['precision'],
        'precision',
        (v) => Number.isInteger(v) && (v as number) >= 0 && (v as number) <= 15,
        'a whole number from 0 to 15',
      ),
      strict: optional(value['strict'], 'strict', isBoolean, 'true or false'),
      allowSetRelation: optional(value['allowSetRelation'], 'allowSetRelation', isBoolean, 'true or false'),
      choices: optional(value['choices'], 'choices', isStrings, 'a list of strings'),
    },
  }
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, { input: { type: 'string' } })
  const input = required(values.input, 'input')
  const totalBytes = await inputBytes(input)
  const progress = new Progress('verifying')
  const counts = { lines: 0, matches: 0, bad: 0 }
  for await (const line of readJsonLines(input)) {
    let text: string
    try {
      if (!line.value) throw invalidArgument(line.problem ?? 'unreadable')
      const { id, gold, pred, options } = readLine(line.value)
      const verdict = verifyAnswer(gold, pred, options)
      if (verdict.match) counts.matches++
      text = JSON.stringify({ id, ...verdict })
    } catch (error) {
      counts.bad++
      text = JSON.stringify(badLine(line, error))
    }
    counts.lines++
    await standardOutput.write(text)
    progress.update(`${counts.lines} lines`, totalBytes && line.bytesRead / totalBytes)
  }
  progress.finish(`${counts.lines} lines, ${counts.matches} matches${counts.bad > 0 ? `, ${counts.bad} bad` : ''}`)
  return counts.bad > 0 ? EXIT.someLinesBad : EXIT.ok
}

export const command: Command = { usage: USAGE, run }
