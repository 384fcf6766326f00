/** Code and queries of models, run where they can do no harm. */
export { DEFAULT_LIMITS, openSandbox, type SandboxOptions } from './sandbox.ts'
