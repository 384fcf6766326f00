/** A policy that is a function: for tests, benchmarks and simulations. No model, no randomness but the seed's. */
import type { Policy, PolicyIdentity, Rollout, RolloutRequest } from '../contracts/policy.ts'

/** The rollout of `index` in the request's stream; a text is parsed as any policy's. */
export type Script = (request: RolloutRequest, index: number) => Rollout | Promise<Rollout>

/** @param identity what a run records of it; the sampling and hashes of a policy that has none where absent */
export function scriptedPolicy(script: Script, identity: Partial<PolicyIdentity> = {}): Policy {
  return {
    identity: {
      kind: 'scripted',
      model: 'scripted',
      modelHash: 'none',
      template: 'none',
      templateHash: 'none',
      sampling: { temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1, maxTokens: 1 },
      ...identity,
    },
    async rollouts(requests, signal) {
      signal?.throwIfAborted()
      return Promise.all(
        requests.map((request) =>
          Promise.all(Array.from({ length: request.count }, (_, i) => script(request, request.from + i))),
        ),
      )
    },
  }
}
