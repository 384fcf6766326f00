/** Opens what reasons in words, and can be read as probabilities. */
import type { Critic } from '../contracts/critic.ts'
import { validate } from '../contracts/validate.ts'
import { chatCritic, engineCritic } from '../policy/critic.ts'
import { type FolderOptions, folderSchema, type Opened, opened, openFolder } from './opened.ts'
import { clientOptions, isServer, type ServerOptions } from './server.ts'

/** A critic with its model: to be used as it is, and closed. */
export interface OpenedCritic extends Critic, Opened {}

/**
 * A checkpoint folder, asked through its chat template, or a model on a server.
 * @throws EngineError INVALID_ARGUMENT, and all that `Engine.open` throws
 */
export async function openCritic(options: FolderOptions | ServerOptions): Promise<OpenedCritic> {
  if (isServer(options)) return opened(chatCritic(clientOptions(options)))
  return openFolder(validate(folderSchema, options, 'kit.openCritic') as FolderOptions, engineCritic)
}
