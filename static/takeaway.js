// What a reader takes along from a figure: the numbers behind it, as tables and as CSV, and the picture as it stands.
const TakeAway = (() => {
  const words = ({state}) => Object.entries(state.axes).map(([name, {label}]) => `${label}: ${state.text(name)}`)
  const title = el => el.getAttribute("aria-label")
  // The sources that are drawn, each once: name, columns, how many rows.
  function drawn({plots}) {
    const models = new Set(plots.flatMap(plot => plot.model.renderers).map(renderer => renderer.data_source))
    return [...models].filter(({name}) => name).map(({name, data}) => {
      const columns = Object.keys(data)
      return {name, data, columns, size: Math.max(...columns.map(column => data[column].length))}
    })
  }
  function save(blob, name) {
    const anchor = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: name})
    anchor.click()
    setTimeout(() => URL.revokeObjectURL(anchor.href), 1000)
  }

  const ROWS = 100      // in a table on the page; the CSV has all
  function tables(figure) {
    const make = (tag, text, parts = []) => {
      const made = document.createElement(tag)
      made.append(text, ...parts)
      return made
    }
    const cell = value => make("td", Number.isNaN(value) ? "" : String(Number(value.toPrecision(6))).replace("-", "\u2212"))
    return drawn(figure).map(({name, data, columns, size}) => {
      const rows = Array.from({length: Math.min(size, ROWS)}, (_, i) => make("tr", "", columns.map(column => cell(data[column][i]))))
      const rest = size > ROWS ? `: the first ${ROWS} of ${size} rows` : ""
      const heads = columns.map(column => make("th", column.replaceAll("_", " ")))
      return make("table", "", [make("caption", name.replaceAll("_", " ") + rest),
        make("thead", "", [make("tr", "", heads)]), make("tbody", "", rows)])
    })
  }

  // Each drawn source is a table of its own, after a comment line with its name; state and readouts stand above.
  function csv(el, figure) {
    const lines = [title(el), ...words(figure)]
    for (const at of el.querySelectorAll("[data-readout]")) lines.push(`${at.previousElementSibling.textContent}: ${at.textContent} (${at.dataset.value})`)
    const text = lines.map(line => `# ${line}\n`)
    for (const {name, data, columns, size} of drawn(figure)) {
      text.push(`\n# ${name}\n${columns.join(",")}\n`)
      for (let i = 0; i < size; i++) text.push(columns.map(column => Number.isNaN(data[column][i]) ? "" : data[column][i]).join(",") + "\n")
    }
    save(new Blob(text, {type: "text/csv"}), `${el.id}.csv`)
  }

  // The plots one below the other, under the title and the state, at twice the size of the screen's pixels.
  function png(el, figure) {
    const scale = 2, pad = 16, line = 20, notes = words(figure)
    const style = getComputedStyle(el)
    const layers = figure.plots.map(plot => ({box: plot.bbox, canvas: plot.export("png").canvas}))
    const width = Math.max(...layers.map(({box}) => box.width)) + 2 * pad
    const height = (2 + notes.length) * line + layers.reduce((sum, {box}) => sum + box.height, 0) + 2 * pad
    const canvas = Object.assign(document.createElement("canvas"), {width: scale * width, height: scale * height})
    const ctx = canvas.getContext("2d")
    ctx.scale(scale, scale)
    ctx.fillStyle = style.getPropertyValue("--paper")
    ctx.fillRect(0, 0, width, height)
    ctx.fillStyle = style.getPropertyValue("--ink")
    ctx.textBaseline = "top"
    ctx.font = "600 16px system-ui, sans-serif"
    ctx.fillText(title(el), pad, pad)
    ctx.font = "13px system-ui, sans-serif"
    notes.forEach((note, k) => ctx.fillText(note, pad, pad + (k + 1.3) * line))
    let top = pad + (notes.length + 1.5) * line
    for (const {box, canvas: picture} of layers) {
      ctx.drawImage(picture, pad, top, box.width, box.height)
      top += box.height
    }
    canvas.toBlob(blob => save(blob, `${el.id}.png`))
  }
  return {tables, csv, png}
})()
