/** Where a command takes a checkpoint folder, it takes a name on a hub too. */
import { resolveModel } from '../hub/index.ts'
import { Progress } from './progress.ts'

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)

/** Shows how far a download is; says nothing where nothing is fetched. */
export function downloadProgress(label: string) {
  let progress: Progress | undefined
  let last = ''
  return {
    onProgress: ({ file, doneBytes, totalBytes }: { file: string; doneBytes: number; totalBytes: number }) => {
      progress ??= new Progress(label)
      last = `${megabytes(doneBytes)} of ${megabytes(totalBytes)} MB`
      progress.update(`${last}, ${file}`, doneBytes / totalBytes)
    },
    finish: () => progress?.finish(last),
  }
}

export const warn = (text: string) => process.stderr.write(`mm-prm: ${text}\n`)

/** @throws EngineError HUB, STORE, ABORTED as `hub.resolveModel` */
export async function modelFolder(model: string): Promise<string> {
  const { onProgress, finish } = downloadProgress(`fetching ${model}`)
  const folder = await resolveModel({ model, onProgress, onWarning: warn })
  finish()
  return folder
}

/** The same options, with folders in the place of names. */
type Named = { model: string; adapters?: string[] | undefined; reference?: string | undefined }

export async function withFolders<T extends Named>(options: T): Promise<T> {
  const adapters: string[] = []
  for (const adapter of options.adapters ?? []) adapters.push(await modelFolder(adapter))
  const reference = options.reference && (await modelFolder(options.reference))
  return {
    ...options,
    model: await modelFolder(options.model),
    ...(options.adapters && { adapters }),
    ...(reference && { reference }),
  }
}
