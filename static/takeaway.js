// What a reader takes along from a figure: the picture as it stands, and the numbers behind it.
const TakeAway = (() => {
  function save(blob, name) {
    const anchor = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: name})
    anchor.click()
    setTimeout(() => URL.revokeObjectURL(anchor.href), 1000)
  }
  const words = ({state}) => Object.values(state.axes).map((axis, k) => `${axis.label}: ${state.text(Object.keys(state.axes)[k])}`)
  const title = el => el.getAttribute("aria-label")

  // Each drawn source is a table of its own, after a comment line with its name; readouts stand above as comments.
  function csv(el, figure) {
    const lines = [`# ${title(el)}`, ...words(figure).map(word => `# ${word}`)]
    for (const at of el.querySelectorAll("[data-readout]")) lines.push(`# ${at.previousElementSibling.textContent}: ${at.textContent} (${at.dataset.value})`)
    const sources = {}
    for (const [name, column] of Object.entries(figure.columns)) {
      const [source, short] = name.split(".")
      ;(sources[source] ??= {})[short] = column
    }
    for (const {name: source, data} of new Set(figure.plots.flatMap(plot => [...plot.model.renderers].map(r => r.data_source)))) {
      const names = Object.keys(data), rows = Math.max(...names.map(name => data[name].length))
      lines.push("", `# ${source}`, names.join(","))
      for (let i = 0; i < rows; i++) lines.push(names.map(name => Number.isNaN(data[name][i]) ? "" : data[name][i]).join(","))
    }
    save(new Blob([lines.join("\n") + "\n"], {type: "text/csv"}), `${el.id}.csv`)
  }

  // The plots one below the other, under the title and the state, at twice the size of the screen's pixels.
  function png(el, figure) {
    const scale = 2, pad = 16, line = 20
    const style = getComputedStyle(el), ink = style.getPropertyValue("--ink"), paper = style.getPropertyValue("--paper")
    const layers = figure.plots.map(plot => ({box: plot.bbox, canvas: plot.export("png").canvas}))
    const width = Math.max(...layers.map(({box}) => box.width)) + 2 * pad, notes = words(figure)
    const height = (2 + notes.length) * line + layers.reduce((sum, {box}) => sum + box.height, 0) + 2 * pad
    const canvas = Object.assign(document.createElement("canvas"), {width: scale * width, height: scale * height})
    const ctx = canvas.getContext("2d")
    ctx.scale(scale, scale)
    ctx.fillStyle = paper
    ctx.fillRect(0, 0, width, height)
    ctx.fillStyle = ink
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
  return {csv, png}
})()
