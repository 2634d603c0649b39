'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')

const load = import('../../benchmark/lib/statistics.mjs')

test('a summary is the median with the lowest and the highest value', async () => {
  const { summary } = await load
  assert.deepEqual(summary([3, 1, 2]), { median: 2, min: 1, max: 3 })
  assert.deepEqual(summary([4, 1, 2, 3]), { median: 2.5, min: 1, max: 4 })
  assert.deepEqual(summary([7]), { median: 7, min: 7, max: 7 })
  assert.equal(summary([]), null)
})

test('a summary leaves its values in their order', async () => {
  const { summary } = await load
  const values = [3, 1, 2]
  summary(values)
  assert.deepEqual(values, [3, 1, 2])
})

test('a quantile is a value that was measured', async () => {
  const { quantile } = await load
  const sorted = Float64Array.from({ length: 100 }, (_, index) => index)
  assert.equal(quantile(sorted, 0.5), 50)
  assert.equal(quantile(sorted, 0.99), 99)
  assert.equal(quantile(sorted, 1), 99)
  assert.equal(quantile([5], 0.99), 5)
})

test('numbers are shown with three digits and never with an exponent', async () => {
  const { format, digits } = await load
  const shown = [
    [0, '0'], [0.000012, '0.00001'], [0.01234, '0.0123'], [1.2345, '1.23'], [12.345, '12.3'], [99.96, '100'],
    [123.4, '123'], [999.4, '999'], [999.6, '1.00 k'], [1000, '1.00 k'], [65432, '65.4 k'],
    [999_600, '1.00 M'], [5712345, '5.71 M'],
    [1.77e9, '1.77 G'], [-1500, '-1.50 k']
  ]
  for (const [value, text] of shown) assert.equal(format(value), text)
  assert.equal(digits(12345.6), '12,346')
})
