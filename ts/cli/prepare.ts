/** Asks a policy, before a run, whether it can do what it will be asked. */
import type { Policy } from '../contracts/policy.ts'

/** Warnings go to standard error. @throws EngineError INVALID_ARGUMENT naming the options that would do; ABORTED */
export async function preparePolicy(policy: Policy, signal?: AbortSignal): Promise<void> {
  for (const warning of (await policy.prepare?.(signal)) ?? []) process.stderr.write(`mm-prm: ${warning}\n`)
}
