/** Pictures at their marks, options below the question, options out of it. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { askedQuestion, choicesIn, placePictures, shownQuestion } from '../../../ts/contracts/problem.ts'

const test = suite('problem')

test('pictures stand at their marks, by number or in order; those without a mark in front', () => {
  assert.equal(placePictures('Compare <image2> with <image1>.', 2), [
    { text: 'Compare ' },
    { picture: 1 },
    { text: ' with ' },
    { picture: 0 },
    { text: '.' },
  ])
  assert.equal(placePictures('<image> and <image>', 2), [{ picture: 0 }, { text: ' and ' }, { picture: 1 }])
  assert.equal(placePictures('How many?', 2), [{ picture: 0 }, { picture: 1 }, { text: 'How many?' }])
  assert.equal(placePictures('See <image_2> first', 2), [{ picture: 0 }, { text: 'See ' }, { picture: 1 }, { text: ' first' }])
})

test('a mark without a picture is left out, one that is named twice shown once', () => {
  assert.equal(placePictures('<image1> to <image2>', 1), [{ picture: 0 }, { text: ' to ' }])
  assert.equal(placePictures('<image1>, again <image1>', 1), [{ picture: 0 }, { text: ', again ' }])
  assert.equal(placePictures('<image9999999999>x', 1), [{ picture: 0 }, { text: 'x' }])
})

test('a model is asked with one mark for each picture, in their order, or with none where all stand in front', () => {
  const asked = (question: string, ...images: string[]) => askedQuestion({ question, images })
  assert.equal(asked('Is <image2> like <image1>?', 'a', 'b'), { question: 'Is <image> like <image>?', images: ['b', 'a'] })
  assert.equal(asked('How many?\n<image 1>', 'a'), { question: 'How many?\n<image>', images: ['a'] })
  assert.equal(asked('How many?', 'a', 'b'), { question: 'How many?', images: ['a', 'b'] })
  assert.equal(asked('<image1>\n<image2>\nSame?', 'a', 'b'), { question: '<image>\n<image>\nSame?', images: ['a', 'b'] })
  assert.equal(asked('<image1><image2>\nSame?', 'a', 'b'), { question: 'Same?', images: ['a', 'b'] })
  assert.equal(asked('See <image2>.', 'a', 'b'), { question: '<image>See <image>.', images: ['a', 'b'] })
  assert.equal(asked('See <image7>.', 'a'), { question: 'See .', images: ['a'] })
  assert.equal(asked('the tag <image> in HTML'), { question: 'the tag <image> in HTML' })
  assert.equal(askedQuestion({ question: ' How many?', image: 'a' }), { question: ' How many?', images: ['a'] })
  const choices = ['<image2>', '<image1>']
  const chosen = askedQuestion({ question: 'Which is <image3>?', choices, images: ['a', 'b', 'c'] })
  assert.equal(chosen, { question: 'Which is <image>?\nChoices:\n(A) <image>\n(B) <image>', images: ['c', 'b', 'a'] })
})

test('options stand below a question that does not name them', () => {
  const choices = ['12', '15']
  assert.is(shownQuestion({ question: 'How many?', choices }), 'How many?\nChoices:\n(A) 12\n(B) 15')
  const named = 'How many?\nA. 12\nB. 15'
  assert.is(shownQuestion({ question: named, choices }), named)
  assert.is(shownQuestion({ question: 'Which piece fits?', choices: ['A', 'B', 'C'] }), 'Which piece fits?')
  assert.match(shownQuestion({ question: 'A 12 by 15 field', choices }), /\(B\) 15$/)
})

test('options that a question lists', () => {
  assert.equal(choicesIn('The area is ( )\nA. 20\nB. 17\nC. 18'), ['20', '17', '18'])
  assert.equal(choicesIn('Choose: (A) the first (B) the second (C) equal'), ['the first', 'the second', 'equal'])
  assert.equal(choicesIn('Find x.'), [])
  assert.equal(choicesIn('Point A. lies there'), [])
})

test.run()
