/** Every task that can be evaluated, by name. */
import { invalidArgument } from '../contracts/errors.ts'
import { suggest } from '../contracts/suggest.ts'
import type { AnswerTask } from './answer-task.ts'
import type { StepTask } from './step-task.ts'
import { dynaMath } from './tasks/dynamath.ts'
import { gsm8k } from './tasks/gsm8k.ts'
import { math500 } from './tasks/math500.ts'
import { mathVerse } from './tasks/mathverse.ts'
import { mathVision } from './tasks/mathvision.ts'
import { mathVista } from './tasks/mathvista.ts'
import { miniK12 } from './tasks/minik12.ts'
import { mmK12 } from './tasks/mmk12.ts'
import { olympiadBench } from './tasks/olympiadbench.ts'
import { prmBench } from './tasks/prmbench.ts'
import { processBench } from './tasks/processbench.ts'
import { visualProcessBench } from './tasks/visualprocessbench.ts'
import { weMath } from './tasks/wemath.ts'

export const STEP_TASKS: readonly StepTask[] = [processBench, prmBench, visualProcessBench]
export const ANSWER_TASKS: readonly AnswerTask[] = [
  ...[mmK12, olympiadBench, mathVista, mathVerse, mathVision],
  ...[weMath, dynaMath, gsm8k, math500, miniK12],
]

/** @throws EngineError INVALID_ARGUMENT with the nearest name */
export function findTask(name: string): StepTask | AnswerTask {
  const all = [...ANSWER_TASKS, ...STEP_TASKS]
  const task = all.find((t) => t.name === name)
  if (task) return task
  const names = all.map((t) => t.name)
  throw invalidArgument(`no task "${name}"${suggest(name, names)}`)
}

export const isAnswerTask = (task: StepTask | AnswerTask): task is AnswerTask => task.kind === 'answers'
