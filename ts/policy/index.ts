/** Policies, which write solutions, and what else the search asks models for: step scores and judgements. */

export { type CriticEngine, chatCritic, engineCritic } from './critic.ts'
export { type ChatEngine, chatJudge, engineJudge, type JudgeAsking, policyJudge } from './judge.ts'
export { type GenerateCall, type GenerateEngine, type NativePolicyOptions, nativePolicy } from './native.ts'
export { type OpenAiPolicyOptions, openAiPolicy } from './openai.ts'
export type { ClientOptions } from './openai-client.ts'
export { type RemoteScorerOptions, remoteScorer } from './remote-scorer.ts'
export { nativeScorer, type ScoreEngine } from './scorer.ts'
export { type Script, scriptedPolicy } from './scripted.ts'
export { findTemplate, type PolicyTemplate, TEMPLATES } from './templates.ts'
