/** Tables of the tokeniser: what commands, characters and words of an answer stand for. */

/** LaTeX commands that only change the looks of what follows. */
export const LOOKS = new Set(
  (
    'left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr displaystyle textstyle scriptstyle limits nolimits boxed fbox ' +
    'mathbf boldsymbol bm mathit mathsf mathcal underline pmb bf rm it quad qquad enspace thinspace notag nonumber hfill vec ' +
    'overrightarrow hat widehat triangle angle odot measuredangle ensuremath mathop mathbin mathrel bold therefore because large Large LARGE huge Huge small'
  ).split(' '),
)
/** Commands whose group is no part of the formula. */
export const DROPPED_WITH_GROUP = new Set([
  'hspace',
  'vspace',
  'phantom',
  'color',
  'textcolor',
  'label',
  'tag',
  'hphantom',
  'vphantom',
])
/** Commands whose group is read as text. */
export const TEXT = new Set(
  'text mbox textnormal textbf textrm textit textsf mathrm operatorname hbox unit si emph texttt mathtt'.split(' '),
)

/** Commands and characters that are one sign; what is not listed stays a command. */
export const SIGNS: Record<string, string> = {
  cdot: '*', times: '*', ast: '*', div: '/', le: '≤', leq: '≤', leqslant: '≤', leqq: '≤', ge: '≥', geq: '≥', geqslant: '≥',
  geqq: '≥', lt: '<', gt: '>', ne: '≠', neq: '≠', in: '∈', notin: '∉', cup: '∪', cap: '∩', setminus: '∖', backslash: '∖',
  smallsetminus: '∖', pm: '±', mp: '∓', ldots: '…', dots: '…', cdots: '…', dotsc: '…', approx: '≈', simeq: '≈', doteq: '≈',
  equiv: '≡', parallel: '∥', perp: '⊥', cong: '≅', sim: '∼', lvert: '|', rvert: '|', vert: '|', mid: '|', Vert: '‖', lVert: '‖',
  rVert: '‖', langle: '⟨', rangle: '⟩', lbrace: '\\{', rbrace: '\\}', lbrack: '[', rbrack: ']', colon: ':', degree: '°',
  prime: '′', to: '→', rightarrow: '→', Rightarrow: '→', implies: '→', mapsto: '→', wedge: '∧', land: '∧', lor: '∨', vee: '∨',
  ratio: ':', slash: '/', lparen: '(', rparen: ')', subset: '⊂', subseteq: '⊂', bmod: 'mod', mod: 'mod', pmod: 'mod',
} // biome-ignore format: a table

export const CHARACTERS: Record<string, string> = {
  '−': '-', '–': '-', '—': '-', '‐': '-', '‑': '-', '×': '*', '·': '*', '⋅': '*', '∗': '*', '∙': '*', '•': '*', '÷': '/', '∕': '/',
  '⁄': '/', '／': '/', '≤': '≤', '≦': '≤', '⩽': '≤', '≥': '≥', '≧': '≥', '⩾': '≥', '≠': '≠', '∈': '∈', '∪': '∪', '∩': '∩',
  '∖': '∖', '±': '±', '∓': '∓', '…': '…', '≈': '≈', '∥': '∥', '⊥': '⊥', '≅': '≅', '∽': '∼', '∼': '∼', '～': '∼', '∣': '|',
  '‖': '‖', '⟨': '⟨', '⟩': '⟩', '〈': '⟨', '〉': '⟩', '∶': ':', '°': '°', 'º': '°', '˚': '°', '′': '′', '’': '′', "'": '′', '″': '″',
  '”': '″', '，': ',', '、': ',', '；': ';', '：': ':', '。': '.', '．': '.', '（': '(', '）': ')', '【': '[', '】': ']', '→': '→',
  '⇒': '→', '∧': '∧', '∨': '∨', '∉': '∉', '≡': '≡', '∘': '∘', '＝': '=', '＋': '+', '－': '-', '％': '%', '⊂': '⊂', '﹣': '-',
} // biome-ignore format: a table

/** Characters that are a command of LaTeX. */
export const COMMANDS: Record<string, string> = {
  'π': 'pi', '√': 'sqrt', '∞': 'infty', '∅': 'emptyset', 'ø': 'emptyset', 'Ø': 'emptyset', 'ℝ': 'R', 'ℤ': 'Z', 'ℕ': 'N',
  'ℚ': 'Q', 'ℂ': 'C', 'α': 'alpha', 'β': 'beta', 'γ': 'gamma', 'δ': 'delta', 'ε': 'epsilon', 'θ': 'theta', 'λ': 'lambda',
  'μ': 'mu', 'µ': 'mu', 'ρ': 'rho', 'σ': 'sigma', 'τ': 'tau', 'φ': 'varphi', 'ϕ': 'phi', 'ψ': 'psi', 'ω': 'omega', 'Δ': 'Delta',
  'Ω': 'Omega', 'Σ': 'sum', '∑': 'sum', '∏': 'prod', '⌊': 'lfloor', '⌋': 'rfloor', '⌈': 'lceil', '⌉': 'rceil', '∛': 'cbrt',
} // biome-ignore format: a table

/** Characters that carry no value: a triangle or an angle is named by its letters. */
export const SILENT = '∴∵△∠⊿⊙▲∆\u200b\u200c\u200d\ufeff\u2061\u2062`*"“'

export const FRACTIONS: Record<string, [number, number]> = {
  '½': [1, 2], '⅓': [1, 3], '⅔': [2, 3], '¼': [1, 4], '¾': [3, 4], '⅕': [1, 5], '⅖': [2, 5], '⅗': [3, 5], '⅘': [4, 5], '⅙': [1, 6],
  '⅚': [5, 6], '⅐': [1, 7], '⅛': [1, 8], '⅜': [3, 8], '⅝': [5, 8], '⅞': [7, 8], '⅑': [1, 9], '⅒': [1, 10],
} // biome-ignore format: a table

export const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ'
export const SUBSCRIPTS = '₀₁₂₃₄₅₆₇₈₉₊₋ₙ'
export const RAISED = '0123456789+-n'

/** Names that are read as LaTeX commands where they stand as plain words. */
export const PLAIN_COMMANDS = new Set(
  (
    'sqrt cbrt arcsin arccos arctan asin acos atan sinh cosh tanh sin cos tan cot sec csc log ln lg exp pi infty alpha beta ' +
    'gamma theta lambda omega sigma gcd lcm max min abs floor ceil binom frac emptyset cdot times'
  ).split(' '),
)
/** The same under other names. */
export const ALIASES: Record<string, string> = {
  dfrac: 'frac', tfrac: 'frac', cfrac: 'frac', df: 'frac', tbinom: 'binom', dbinom: 'binom', infinity: 'infty', inf: 'infty',
  varnothing: 'emptyset', O: 'emptyset', asin: 'arcsin', acos: 'arccos', atan: 'arctan', tg: 'tan', ctg: 'cot', cosec: 'csc',
  arctg: 'arctan', varepsilon: 'epsilon', vartheta: 'theta', bar: 'overline', Reals: 'R', reals: 'R', oo: 'infty', tr: 'T',
} // biome-ignore format: a table

/** Words that join the items of a list. */
export const JOINTS: Record<string, 'and' | 'or'> = {
  and: 'and', or: 'or', '&': 'and', 或: 'or', 或者: 'or', 和: 'and', 且: 'and', 与: 'and', 及: 'and', 以及: 'and', 并且: 'and',
} // biome-ignore format: a table
