// What a reader takes along from a figure: the numbers behind it, as tables and as CSV, the lines of Python that make
// them again, and the picture as it stands. CSV and Python are the twins of widgets/takeaway.py.
const TakeAway = (() => {
  const title = el => el.getAttribute("aria-label")
  const spec = ({plots}) => plots[0].model.tags[0]
  const words = ({state}) => Object.entries(state.axes).map(([name, {label}]) => `${label}: ${state.text(name)}`)
  // The address that brings this state back, where the page has one that others can open.
  const link = (el, {state}) => typeof Page !== "undefined" && location.protocol.startsWith("http") ? Page.link(el, state) : ""
  function save(blob, name) {
    const anchor = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: name})
    anchor.click()
    setTimeout(() => URL.revokeObjectURL(anchor.href), 1000)
  }

  // Each table: name, headings, columns, and the rows without a gap; a row with one is not drawn.
  function taken(figure) {
    const {sources, takeaway} = spec(figure)
    return Object.entries(takeaway.tables).map(([name, headings]) => {
      const {data} = sources[name].model, columns = Object.keys(headings).map(column => data[column])
      const rows = [...columns[0].keys()].filter(i => columns.every(column => !Number.isNaN(column[i])))
      return {name, headings: Object.values(headings), columns, rows}
    }).filter(({rows}) => rows.length)
  }

  const ROWS = 100      // in a table on the page; the CSV has all
  function tables(figure) {
    const make = (tag, text, parts = []) => {
      const made = document.createElement(tag)
      made.append(text, ...parts)
      return made
    }
    const cell = value => make("td", String(Number(value.toPrecision(6))).replace("-", "\u2212"))
    return taken(figure).map(({name, headings, columns, rows}) => {
      const lines = rows.slice(0, ROWS).map(i => make("tr", "", columns.map(column => cell(column[i]))))
      const rest = rows.length > ROWS ? `: the first ${ROWS} of ${rows.length} rows` : ""
      return make("table", "", [make("caption", name.replaceAll("_", " ") + rest),
        make("thead", "", [make("tr", "", headings.map(heading => make("th", heading)))]), make("tbody", "", lines)])
    })
  }

  // ---- words: a value as Python writes it
  const literal = value => typeof value === "string" ? JSON.stringify(value) : typeof value === "boolean" ? (value ? "True" : "False") : String(value)
  // A number of 32 bits has no more digits than it takes to tell it from the next.
  const shortest = value => [6, 7, 8, 9].map(digits => Number(value.toPrecision(digits))).find(short => Math.fround(short) === value)
  const cell = (column, i) => column instanceof Float32Array ? shortest(column[i]) : column[i]

  function csv_text(el, figure) {
    const {state} = figure, {origin, units, credit} = spec(figure).takeaway, lines = [title(el)]
    for (const [name, {label}] of Object.entries(state.axes)) lines.push(`${label}: ${state.text(name)} (${name} = ${literal(state.values[name])})`)
    for (const at of el.querySelectorAll("[data-readout]")) {
      const {readout, value, source} = at.dataset, group = at.closest("dl").previousElementSibling
      const label = (group ? `${group.textContent}, ` : "") + at.previousElementSibling.textContent
      lines.push(`${label}: ${at.textContent} (${readout}${value && ` = ${value}`}, ${source})`)
    }
    lines.push(origin, units, credit, ...[link(el, figure)].filter(Boolean))
    let text = lines.map(line => `# ${line}\n`).join("")
    for (const {name, headings, columns, rows} of taken(figure)) {
      text += `\n# ${name}\n${headings.join(",")}\n`
      text += rows.map(i => columns.map(column => cell(column, i)).join(",") + "\n").join("")
    }
    return text
  }
  const csv = (el, figure) => save(new Blob([csv_text(el, figure)], {type: "text/csv;charset=utf-8"}), `${el.id}.csv`)

  function code({state, ...figure}) {
    const lines = Object.entries(state.axes).map(([name, {label}]) => `${name} = ${literal(state.values[name])}  # ${label}`)
    return spec(figure).takeaway.program.replace("{state}", () => lines.join("\n"))
  }
  async function python(el, figure) {
    const text = code(figure), button = el.querySelector('[data-save="python"]'), words = button.textContent
    try {
      await navigator.clipboard.writeText(text)
      button.textContent = "Copied"
      setTimeout(() => { button.textContent = "Copy as Python" }, 2000)
    } catch {
      const notices = el.querySelector(".notices"), note = document.createElement("span")
      const area = Object.assign(document.createElement("textarea"), {value: text, readOnly: true, rows: 12, ariaLabel: "Python"})
      note.textContent = "This browser does not let a page copy. Here it is, to copy by hand:"
      notices.replaceChildren(note, area)
      notices.hidden = false
      area.select()
    }
  }

  // ---- the picture: the plots as they stand on the page, under the title and the state, above the source
  const PAD = 16, LINE = 20, SVG = "http://www.w3.org/2000/svg"
  const shape = (tag, attributes, ...inside) => {
    const made = document.createElementNS(SVG, tag)
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
    made.append(...inside)
    return made
  }
  function draw(el, figure) {
    const style = getComputedStyle(el), hue = token => style.getPropertyValue(`--${token}`).trim()
    const all = el.querySelector(".plots"), notes = words(figure), {credit} = spec(figure).takeaway
    const top = PAD + (notes.length + 1.6) * LINE, width = all.offsetWidth + 2 * PAD
    const height = Math.round(top + all.offsetHeight + 2 * LINE)
    const line = (y, text, size, token, more = {}) =>
      shape("text", {x: PAD, y, fill: hue(token), "font-family": "system-ui, sans-serif", "font-size": size, ...more}, text)
    const plots = figure.plots.map(plot => {
      const frame = el.querySelector(`[data-frame="${plot.model.name}"]`)
      const x = PAD + frame.offsetLeft - all.offsetLeft, y = top + frame.offsetTop - all.offsetTop
      const picture = plot.export("svg").ctx.get_svg()
      return shape("g", {transform: `translate(${x} ${y})`},
        shape("rect", {width: frame.offsetWidth, height: frame.offsetHeight, rx: 8, fill: hue("plot")}), picture)
    })
    const {origin, pathname, protocol} = location
    const where = link(el, figure) && ` · ${origin}${pathname}`
    return shape("svg", {width, height, viewBox: `0 0 ${width} ${height}`},
      shape("title", {}, title(el)), shape("desc", {}, el.querySelector(".summary").textContent),
      shape("rect", {width, height, fill: hue("paper")}),
      line(PAD + 14, title(el), 16, "ink", {"font-weight": 600}),
      ...notes.map((note, k) => line(PAD + (k + 2) * LINE, note, 13, "ink")),
      ...plots,
      line(height - 14, credit + where, 11, "muted"))
  }
  const written = drawing => new XMLSerializer().serializeToString(drawing)
  const svg = (el, figure) => save(new Blob([written(draw(el, figure))], {type: "image/svg+xml"}), `${el.id}.svg`)

  // The same picture at twice the pixels of its size.
  async function png(el, figure) {
    const drawing = draw(el, figure), scale = 2
    const image = new Image()
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(written(drawing))}`
    await image.decode()
    const width = scale * drawing.getAttribute("width"), height = scale * drawing.getAttribute("height")
    const canvas = Object.assign(document.createElement("canvas"), {width, height})
    canvas.getContext("2d").drawImage(image, 0, 0, width, height)
    canvas.toBlob(blob => save(blob, `${el.id}.png`))
  }
  return {tables, csv, csv_text, python, code, svg, png}
})()
