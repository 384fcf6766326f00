/** Every task that can be evaluated, by name. */
import { invalidArgument } from '../contracts/errors.ts'
import { suggest } from '../contracts/suggest.ts'
import type { StepTask } from './step-task.ts'
import { prmBench } from './tasks/prmbench.ts'
import { processBench } from './tasks/processbench.ts'
import { visualProcessBench } from './tasks/visualprocessbench.ts'

export const STEP_TASKS: readonly StepTask[] = [processBench, prmBench, visualProcessBench]

/** @throws EngineError INVALID_ARGUMENT with the nearest name */
export function findTask(name: string): StepTask {
  const names = STEP_TASKS.map((task) => task.name)
  const task = STEP_TASKS.find((t) => t.name === name)
  if (!task) throw invalidArgument(`no task "${name}"${suggest(name, names)}`)
  return task
}
