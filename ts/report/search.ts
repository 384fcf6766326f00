/** What a search did, to look at: trees with values on their nodes and the first error marked, worked examples. */
import { type ProblemImage, picturesOf } from '../contracts/problem.ts'
import { mcValue, type ProblemTree, type TreeNode } from '../contracts/records.ts'
import { storableImage } from '../images/index.ts'
import { escapeHtml } from './html.ts'

/** A tree of thousands of nodes is not read by anyone; what is left out is counted. */
const MAX_NODES = 400
const MAX_NAME = 300

function nodeHtml(node: TreeNode, state: { left: number; hidden: number }): string {
  if (state.left <= 0) {
    state.hidden++
    return ''
  }
  state.left--
  const { counts } = node
  const value = counts && counts.total > 0 ? mcValue(counts) : null
  const title = counts
    ? `${counts.correct} of ${counts.total} right, ${counts.unparsed} unparsed, ${counts.truncated} truncated`
    : 'not evaluated'
  const mc =
    value === null
      ? `<span class="mc none" title="${title}">–</span>`
      : `<span class="mc" style="--p:${value.toFixed(3)}" title="${title}">${node.terminal ? (value > 0 ? 'right' : 'wrong') : value.toFixed(2)}</span>`
  const flag = node.firstError ? '<span class="flag">first error</span>' : ''
  const text = node.steps.length === 0 ? '<em>question</em>' : `<code>${escapeHtml(node.steps.join('\n'))}</code>`
  const children = node.children.map((child) => nodeHtml(child, state)).join('')
  return `<li><div class="node${node.firstError ? ' error' : ''}">${mc}${text}${flag}</div>${children ? `<ul class="tree">${children}</ul>` : ''}</li>`
}

export function treeHtml(tree: ProblemTree): string {
  const state = { left: MAX_NODES, hidden: 0 }
  const nodes = nodeHtml(tree.root, state)
  const more = state.hidden > 0 ? `<p class="note">${state.hidden} more branches are not shown</p>` : ''
  const question = `<p><strong>${escapeHtml(tree.problem.id)}</strong> ${escapeHtml(tree.problem.question)} <em>(answer ${escapeHtml(tree.problem.answer)})</em></p>`
  return `${picturesOf(tree.problem).map(imageHtml).join('')}${question}<ul class="tree root">${nodes}</ul>${more}`
}

/** Embedded pictures are shown; a path is named, since the page must stand alone. */
export function imageHtml(image: ProblemImage | undefined): string {
  if (image === undefined) return ''
  const stored = storableImage(image)
  if (/^data:image\//i.test(stored)) return `<img class="problem" alt="the problem's picture" src="${escapeHtml(stored)}">`
  return `<p class="note">picture: ${escapeHtml(stored.slice(0, MAX_NAME))}</p>`
}

/** Steps with a bar per score. */
export function scoredStepsHtml(steps: readonly { text: string; score: number }[]): string {
  return steps
    .map(({ text, score }) => {
      const bar = `<span class="bar"><i style="width:${(100 * score).toFixed(1)}%"></i></span>`
      return `<div class="step"><code>${escapeHtml(text)}</code>${bar}<span>${score.toFixed(3)}</span></div>`
    })
    .join('')
}
