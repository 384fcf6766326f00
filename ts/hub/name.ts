/** Names of models on a hub. */

export interface HubName {
  /** `org/name` */
  id: string
  /** A branch, a tag or a commit. */
  revision: string
}

export const DEFAULT_REVISION = 'main'
const NAME = /^(?<id>\w(?:[\w.-]*\w)?\/\w(?:[\w.-]*\w)?)(?:@(?<revision>\w[\w./-]*))?$/
const MAX_LENGTH = 96

/** `org/name` or `org/name@revision`; undefined for all else, such as a path. */
export function parseName(text: string): HubName | undefined {
  const { id = '', revision = DEFAULT_REVISION } = NAME.exec(text)?.groups ?? {}
  if (id === '' || id.length > MAX_LENGTH || /--|\.\./.test(id) || /\.\.|\/\/|\/$/.test(revision)) return undefined
  return { id, revision }
}
