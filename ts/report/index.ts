/** Pages to look at, self-contained. */
export { histogram, type IntervalPoint, intervals, type Line, lines } from './charts.ts'
export { escapeHtml, page, type Section, tableHtml } from './html.ts'
export { imageHtml, scoredStepsHtml, treeHtml } from './search.ts'
