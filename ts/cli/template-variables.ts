/** What a policy's own chat template is told, on the command line. */
import { UsageError } from './command.ts'

export const TEMPLATE_VARIABLE_OPTIONS = { 'template-variable': { type: 'string', multiple: true } } as const

export const TEMPLATE_VARIABLE_USAGE = `  --template-variable NAME=VALUE
                           told to the model's own chat template, such as enable_thinking=false; VALUE is JSON,
                           else a text; may be given more than once`

type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

function parse(text: string): Json {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** @throws UsageError for an argument that is no NAME=VALUE, and for a name that is given twice */
export function readTemplateVariables(given: readonly string[] | undefined): { templateVariables?: Record<string, Json> } {
  if (!given) return {}
  const variables = new Map<string, Json>()
  for (const argument of given) {
    const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(argument) ?? []
    if (name === undefined || value === undefined)
      throw new UsageError(`--template-variable must be NAME=VALUE, got "${argument}"`)
    if (variables.has(name)) throw new UsageError(`--template-variable ${name} is given twice`)
    variables.set(name, parse(value))
  }
  return { templateVariables: Object.fromEntries(variables) }
}
