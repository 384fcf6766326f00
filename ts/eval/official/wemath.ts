/** We-Math's own grading: the first letter behind the last word `Answer`, and four classes of composite problems. */

/** The letter A to H that a response names; null where the first character there is none. */
export function extractLetter(response: string): string | null {
  const behind = response.slice(response.lastIndexOf('Answer') + (response.includes('Answer') ? 'Answer'.length : 1))
  const first = behind.replace(/[<>:.]/g, '').trim()[0]
  return first !== undefined && first >= 'A' && first <= 'H' ? first : null
}

export const gradeWeMath = (answer: string, response: string) => extractLetter(response) === answer

export type MasteryClass = 'insufficientKnowledge' | 'inadequateGeneralization' | 'mastery' | 'rote'

/** A composite problem: whether each of its steps, and the whole of them, was answered rightly. */
export interface Composite {
  readonly id: string
  readonly steps: readonly boolean[]
  readonly multi: boolean
}

export function classify({ steps, multi }: Composite, rule: 'strict' | 'loose'): MasteryClass {
  const [all, any] = [steps.every(Boolean), steps.some(Boolean)]
  if (!multi) return all ? 'inadequateGeneralization' : 'insufficientKnowledge'
  return (rule === 'strict' ? all : any) ? 'mastery' : 'rote'
}

export interface MasteryFigures {
  readonly counts: Readonly<Record<MasteryClass, number>>
  /** (composites - IG/2 - RM - IK) / composites. */
  readonly score: number
}

/** @param total composites by which is divided: 525 as published, whatever a file holds */
export function masteryFigures(composites: readonly Composite[], rule: 'strict' | 'loose', total = composites.length) {
  const counts = { insufficientKnowledge: 0, inadequateGeneralization: 0, mastery: 0, rote: 0 }
  for (const composite of composites) counts[classify(composite, rule)]++
  const lost = 0.5 * counts.inadequateGeneralization + counts.rote + counts.insufficientKnowledge
  return { counts, score: (total - lost) / total } satisfies MasteryFigures
}

/** Concepts by the group that the published table has a column for; a concept that is in none counts in none. */
export const CONCEPT_GROUPS: Readonly<Record<string, readonly string[]>> = {
  'Understanding and Conversion of Units': [
    'Conversion Rates and Calculations Between Area Units',
    'Conversion Rates and Calculations Between Volume Units (Including Liters and Milliliters)',
    'Conversion Rates and Calculations Between Length Units',
  ],
  'Angles and Length': ['Understanding Angles (Using a Protractor)', 'Understanding Length (Using a Ruler)'],
  'Calculation of Plane Figures': [
    ...['Sum of Interior Angles of Other Polygons', 'Sum of Interior Angles of Triangles'],
    'Calculation and Comparison of Angles',
    ...['Parallelograms', 'Triangles', 'Sectors', 'Trapezoids', 'Circles', 'Rectangles', 'Squares'].map((s) => `Area of ${s}`),
    ...['Parallelograms', 'Triangles', 'Trapezoids', 'Rectangles', 'Squares'].map((shape) => `Perimeter of ${shape}`),
    'Circumference of Circles',
  ],
  'Understanding of Plane Figures': [
    ...['Parallelograms', 'Triangles', 'Trapezoids', 'Rectangles', 'Squares'].map((s) => `Properties and Understanding of ${s}`),
    ...['Understanding Triangular Rulers', 'Understanding and Representing Angles', 'Distance Between Two Points'],
    ...['Understanding Line Segments, Lines, and Rays', 'perpendicularity', 'Parallel', 'Understanding Sectors'],
    ...['Understanding Circles', 'Observing Figures'],
  ],
  'Calculation of Solid Figures': [
    ...['Cylinders', 'Rectangular Cuboids', 'Cubes'].map((solid) => `Surface Area of ${solid}`),
    ...['Cylinders', 'Cones', 'Rectangular Cuboids', 'Cubes'].map((solid) => `Volume and Capacity of ${solid}`),
  ],
  'Understanding of Solid Figures': [
    ...['Cylinders', 'Rectangular Cuboids', 'Cubes'].map((solid) => `Expanded View of ${solid}`),
    ...['Properties of Cylinders', 'Properties of Cones', 'Properties and Understanding of Rectangular Cuboids'],
    ...['Properties and Understanding of Cubes', 'Observing Objects'],
  ],
  'Basic Transformations of Figures': ['Axial Symmetry', 'Translation', 'Rotation'],
  'Cutting and Combining of Figures': [
    ...['Combining and Dividing Solids', 'Division of Plane Figures', 'Combining Plane Figures', 'Tessellation of Figures'],
    'Folding Problems of Figures',
  ],
  Direction: ['Southeast, Southwest, Northeast, Northwest Directions', 'Cardinal Directions (East, South, West, North)'],
  Position: ['Front-Back Position', 'Up-Down Position', 'Left-Right Position'],
  'Route Map': [
    'Determining the Positions of Objects Based on Direction, Angle, and Distance',
    'Describing Simple Routes Based on Direction and Distance',
  ],
  'Correspondence of Coordinates and Positions': [
    'Representing Positions Using Ordered Pairs',
    'Finding Positions Based on Ordered Pairs',
  ],
}
