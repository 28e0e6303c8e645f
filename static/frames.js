// The words of widgets/frames.py, spoken in the browser: how a drawn column follows the controls.
// They know arrays and positions only; the mathematics stays in NumPy.
const Frames = (() => {
  // A piece of a table that NumPy computed for every position of the controls.
  const take = ({table, by, until, unit}, state) => {
    let row = 0, size = table.length
    by.forEach((control, axis) => {
      row = row * table.shape[axis] + state.index(control)
      size /= table.shape[axis]
    })
    let length = size
    if (until) length += state.index(until[0]) + 1 - until[1]
    const piece = table.slice(row * size, row * size + length)   // not subarray: Bokeh's arrays lose its offset
    return unit === 1 ? piece : Float64Array.from(piece, count => count * unit)
  }

  // What has come in from outside: one column of its rows, or its last row.
  const fed = ({name, by, place}, state) => state.fed[name]?.[by ? state.index(by) : place]?.slice() ?? []
  const latest = ({name}, state) => (state.fed[name] ?? []).map(column => column.at(-1)).filter(value => value !== undefined)

  // Entry by entry; a column of one entry serves for all.
  const combine = operation => ({terms}, state, columns) => {
    const parts = terms.map(term => at(term, state, columns))
    const out = new Float64Array(parts.some(part => !part.length) ? 0 : Math.max(...parts.map(part => part.length)))
    for (let i = 0; i < out.length; i++) {
      let total = parts[0][parts[0].length === 1 ? 0 : i]
      for (let k = 1; k < parts.length; k++) total = operation(total, parts[k][parts[k].length === 1 ? 0 : i])
      out[i] = total
    }
    return out
  }

  // The height of a curve with evenly spaced positions.
  const along = ({start, step, y, of}, state, columns) => {
    const curve = at(y, state, columns), last = curve.length - 1
    return Float64Array.from(at(of, state, columns), x => {
      const place = Math.max(0, Math.min(last, (x - start) / step)), left = Math.min(last - 1, Math.floor(place))
      return curve[left] + (place - left) * (curve[left + 1] - curve[left])
    })
  }

  // The entries of one column at the places that another names.
  const pick = ({of, places}, state, columns) => {
    const column = at(of, state, columns)
    return Float64Array.from(at(places, state, columns), place => column[place])
  }

  const mean = x => {
    let total = 0
    for (const value of x) total += value
    return total / x.length
  }
  const is_number = x => x.length > 0 && !Number.isNaN(x.at(-1))
  const statistics = {
    mean,
    std: x => {
      const middle = mean(x)
      return Math.sqrt(mean(Float64Array.from(x, value => (value - middle) ** 2)))
    },
    last: x => x.at(-1) ?? NaN,
    last_below: (x, [bound]) => x.at(-1) < bound ? x.at(-1) : NaN,
    first_reaching: (x, y, [level]) => x[y.findIndex(value => value >= level)] ?? NaN,
    first_number: (...columns) => columns.find(is_number)?.at(-1) ?? NaN,
    which_number: (...columns) => columns.some(is_number) ? columns.findIndex(is_number) : columns.length,
    reach: ([least], ...columns) => {
      const largest = Math.max(0, ...columns.map(x => x.reduce((most, value) => Math.max(most, Math.abs(value)), 0)))
      let reach = least
      while (reach < largest) reach *= 2
      return reach
    },
    gap: (x, y) => x.reduce((widest, value, i) => Math.max(widest, Math.abs(value - y[i])), 0),
    share_within: (x, [bound]) => mean(Float64Array.from(x, value => Math.abs(value) < bound)),
  }

  const words = {
    take,
    fed,
    latest,
    along,
    pick,
    control: ({name}, state) => [state.number(name)],
    column: ({name}, state, columns) => columns(name),
    sum: combine((a, b) => a + b),
    product: combine((a, b) => a * b),
    measure: ({what, of}, state, columns) => [statistics[what](...of.map(part => at(part, state, columns)))],
  }
  const at = (frame, state, columns) => words[frame.op](frame, state, columns)
  return {at}
})()
