/** How a server is reached: where requests go, what admits them, and what must never be told of either. */
import { redactor } from './secrets.ts'

/** Words of a query that name a secret. */
const SECRET_NAME = /key|token|secret|sig|pass|auth/i
/** A text of a model is changed only for what cannot be a word of its own, such as a server's key `EMPTY`. */
const MIN_SECRET_IN_TEXT = 6

export interface Access {
  /** Without user and password. */
  readonly url: URL
  /** The URL as errors name it. */
  readonly shown: string
  readonly headers: Readonly<Record<string, string>>
  /** Takes every secret out of words about a request. */
  redact(text: string): string
  /** Takes every secret out of what a model wrote. */
  redactAnswer(text: string): string
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** A key is sent as it is; user and password of the URL are what admits where there is none. */
export function accessTo(baseUrl: string, path: string, apiKey: string | undefined): Access {
  const url = new URL(baseUrl)
  url.pathname = `${url.pathname.replace(/\/+$/, '')}${path}`
  const [user, password] = [decoded(url.username), decoded(url.password)]
  const basic = Buffer.from(`${user}:${password}`).toString('base64')
  const inQuery = [...url.searchParams].filter(([name]) => SECRET_NAME.test(name)).map(([, value]) => value)
  // A user without a password is a token.
  const own = [apiKey ?? '', password === '' ? user : password, url.password, ...inQuery]
  const secrets = user === '' && password === '' ? own : [...own, basic]
  url.username = ''
  url.password = ''
  const authorization = apiKey !== undefined ? `Bearer ${apiKey}` : user !== '' || password !== '' ? `Basic ${basic}` : undefined
  return {
    url,
    shown: `${url.origin}${url.pathname}`,
    headers: authorization === undefined ? {} : { authorization },
    redact: redactor(secrets),
    redactAnswer: redactor(secrets.filter((secret) => secret.length >= MIN_SECRET_IN_TEXT)),
  }
}
