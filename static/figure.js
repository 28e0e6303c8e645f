// One live figure. Its controls and readouts stand in the page already; its plots and tables come with its Bokeh
// document. State, label, readout and plot are shown from one state at one time, so they cannot disagree.
const Figure = (() => {
  // ---- A control: the values that it allows, and how they are written.
  class Axis {
    constructor(spec) { Object.assign(this, spec) }

    index(value) {
      const exact = this.values.indexOf(value)
      if (exact >= 0 || this.kind !== "range") return exact
      let nearest = 0
      this.values.forEach((v, k) => { if (Math.abs(v - value) < Math.abs(this.values[nearest] - value)) nearest = k })
      return nearest
    }

    number(value) { return this.kind === "range" || typeof value === "number" ? value : this.index(value) }

    text(value) {
      if (this.kind !== "range") return this.words[this.index(value)]
      return Numbers.text(value, this.values.includes(value) ? this.format : {...this.format, digits: 8, significant: true})
    }

    // What somebody wrote, as a value that the control allows, with a sentence when that is another one.
    read(written) {
      const refuse = allowed => ({note: `${this.label}: “${written}” is not ${allowed}, so it stays as it was.`})
      if (this.kind === "switch") {
        const k = [["off", "false", "0"], ["on", "true", "1"]].findIndex(words => words.includes(written.toLowerCase()))
        return k < 0 ? refuse("on or off") : {value: this.values[k]}
      }
      if (this.kind === "choice") {
        const k = this.values.findIndex((v, i) => String(v) === written || this.words[i].toLowerCase() === written.toLowerCase()
          || (typeof v === "number" && written.trim() !== "" && v === Number(written)))
        return k < 0 ? refuse(`one of ${this.values.join(", ")}`) : {value: this.values[k]}
      }
      const digits = written.trim().replace("\u2212", "-"), first = this.values[0], last = this.values.at(-1)
      const wish = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(digits) ? Number(digits) : NaN
      if (!Number.isFinite(wish)) return refuse("a number")
      const value = Math.min(last, Math.max(first, wish))
      if (value !== wish) {
        return {value, note: `${this.label}: ${written} is outside ${this.text(first)} to ${this.text(last)}, so it is ${this.text(value)}.`}
      }
      const nearest = this.values[this.index(value)]
      if (this.free || Math.abs(nearest - value) <= 1e-9 * Math.abs(last - first)) return {value: this.free ? value : nearest}
      if (this.text(nearest) === written.trim()) return {value: nearest}     // it is what the label shows
      return {value: nearest, note: `${this.label}: ${written} lies between two positions, so it is ${this.text(nearest)}.`}
    }

    // The value that a native input of this control stands at.
    from_input(input) {
      if (this.kind === "switch") return input.checked
      if (this.kind === "choice") return this.read(input.value).value
      return this.step === null ? this.values[Number(input.value)] : this.values[this.index(Number(input.value))]
    }

    to_input(input, value) {
      if (this.kind === "switch") input.checked = value
      else if (this.kind === "choice") input.checked = this.read(input.value).value === value
      else {
        input.value = this.step === null ? this.index(value) : value
        input.setAttribute("aria-valuetext", this.text(value))
      }
    }
  }

  // ---- Control -> value. `moved` is told of each change, `settled` when the reader has let go.
  class State {
    constructor(controls, values) {
      this.axes = Object.fromEntries(Object.entries(controls).map(([name, spec]) => [name, new Axis(spec)]))
      this.values = {...values}
      this.initial = {...values}
      this.fed = {}       // name -> columns of rows that came in from outside
      this.feeds = 0      // how often they did
      this.moved = []
      this.settled = []
    }
    index(name) { return this.axes[name].index(this.values[name]) }
    number(name) { return this.axes[name].number(this.values[name]) }
    text(name) { return this.axes[name].text(this.values[name]) }
    values_of(names) { return Object.fromEntries(names.map(name => [name, this.values[name]])) }
    assign(values, {settle = false} = {}) {
      const changed = Object.entries(values).filter(([name, value]) => this.values[name] !== value)
      Object.assign(this.values, Object.fromEntries(changed))
      if (changed.length) this.moved.forEach(tell => tell())
      if (settle) this.settle()
    }
    settle() { this.settled.forEach(tell => tell()) }
    feed(fed) {
      this.fed = fed
      this.feeds++
      this.moved.forEach(tell => tell())
    }
    // What a column has to be computed anew for: a control's value, or that something came in.
    mark(name) { return name === "fed" ? this.feeds : this.values[name] }
  }

  // ---- Marks take the colours of the theme that is on.
  function colour(plots, tokens) {
    const marks = []
    for (const plot of plots) {
      for (const model of plot.model.references()) {
        for (const {attr} of model) {
          if (!attr.endsWith("_color")) continue
          const value = model[attr], token = tokens[value?.value ?? value]
          if (token) marks.push({model, attr, token})
        }
      }
    }
    return style => {
      for (const {model, attr, token} of marks) {
        const value = style.getPropertyValue(`--${token}`).trim()
        if (value && (model[attr]?.value ?? model[attr]) !== value) model[attr] = value
      }
      // At once, and not when Bokeh gets to it: a page about to be printed does not wait.
      for (const plot of plots) {
        for (const view of plot.renderer_views.values()) view.set_visuals?.()
        plot.invalidate_painters()
        plot.paint()
      }
    }
  }

  // ---- A figure comes to life: `el` is its markup, `plots` the views of its plots, `values` where it starts.
  async function bring_to_life(el, plots, values) {
    const spec = plots[0].model.tags[0], {controls, sources, readouts, presets, ranges, summary, colors} = spec
    const state = new State(controls, values)
    const by_name = Object.fromEntries(plots.map(plot => [plot.model.name, plot]))
    const all = (selector, root = el) => [...root.querySelectorAll(selector)]
    const inputs = Object.fromEntries(Object.keys(controls).map(name =>
      [name, all(`[data-control="${name}"] input, [data-twin="${name}"] input`)]))
    const outputs = Object.fromEntries(Object.keys(controls).map(name => [name, el.querySelector(`[data-control="${name}"] output`)]))
    const says = Object.fromEntries(Object.keys(readouts).map(name => [name, el.querySelector(`[data-readout="${name}"]`)]))

    const columns = {}, computed = {}, shown = []
    // Every column that follows a control which moved; what is drawn goes to its plot.
    function compute() {
      for (const [source, {columns: frames, follows, model}] of Object.entries(sources)) {
        const key = follows.map(name => state.mark(name)).join()
        if (computed[source] === key) continue
        computed[source] = key
        const find = name => columns[name.includes(".") ? name : `${source}.${name}`], data = {}
        for (const [name, frame] of Object.entries(frames)) columns[`${source}.${name}`] = data[name] = Frames.at(frame, state, find)
        model?.setv({data}, {check_eq: false})
      }
    }

    // Bokeh takes new data in a row of promises, then paints a frame later. Painting is held until it has taken
    // them, which it does within this frame, and then done at once; there is nothing left for it to paint.
    const PROMISES = 100
    async function paint() {
      plots.forEach(plot => plot.pause())
      compute()
      for (let k = 0; k < PROMISES; k++) await null
      for (const plot of plots) {
        plot.unpause(true)
        plot.invalidate_dataranges = false    // axes stay where they are, unless the figure moves them
        if (set_ranges(plot)) plot.repaint()
        else plot.paint()
      }
    }

    // Whether the ends of an axis had to be moved.
    function set_ranges(plot) {
      let moved = false
      for (const [place, column] of Object.entries(ranges)) {
        const [name, axis] = place.split("."), [start, end] = columns[column], range = plot.model[`${axis}_range`]
        if (name !== plot.model.name || (range.start === start && range.end === end)) continue
        range.setv({start, end})
        moved = true
      }
      return moved
    }

    function say() {
      for (const [name, {value, number, cases, case: which}] of Object.entries(readouts)) {
        const at = says[name], is = columns[value][0], [template, source] = cases[which ? columns[which][0] : 0]
        const said = template.replace("{}", Numbers.text(is, number)), bare = Number.isNaN(is) ? "" : String(is)
        if (at.textContent !== said) at.textContent = said
        if (at.dataset.value !== bare) at.dataset.value = bare
        if (at.dataset.source !== source) at.dataset.source = source
      }
      for (const [name, axis] of Object.entries(state.axes)) {
        for (const input of inputs[name]) axis.to_input(input, state.values[name])
        const output = outputs[name], label = state.text(name)
        if (output && output.textContent !== label) output.textContent = label
      }
    }

    // What a control's label or a readout says.
    const text = name => Object.hasOwn(controls, name) ? state.text(name) : says[name].textContent
    const fill = words => words.replace(/\{(\w+)\}/g, (_, name) => text(name))
    const summarize = () => { el.querySelector(".summary").textContent = fill(summary) }

    const details = el.querySelector(".data")
    const tabulate = () => { if (details.open) details.querySelector("div").replaceChildren(...TakeAway.tables(figure)) }
    details.addEventListener("toggle", tabulate)

    let waiting = false
    async function show() {
      waiting = false
      await paint()
      // Words last: a plot that asks for its style while they wait to be laid out makes the browser do it twice.
      say()
      shown.forEach(tell => tell())
    }
    state.moved.push(() => {
      if (!waiting) requestAnimationFrame(show)
      waiting = true
    })
    // Spoken when the reader lets go, not at every step of a drag.
    state.settled.push(() => requestAnimationFrame(() => { summarize(); tabulate() }))

    // ---- the reader's hands
    const control_of = target => target.closest("[data-control], [data-twin]")
    const name_of = box => box.dataset.control ?? box.dataset.twin
    el.addEventListener("input", ({target}) => {
      const box = control_of(target)
      if (!box) return
      const name = name_of(box)
      stop()
      state.assign({[name]: state.axes[name].from_input(target)})
    })
    el.addEventListener("change", ({target}) => { if (control_of(target)) state.settle() })
    const resolve = ({values}) => Object.fromEntries(Object.entries(values).map(([name, {value, column}]) => [name, column ? columns[column][0] : value]))
    el.addEventListener("click", ({target}) => {
      const button = target.closest("button")
      if (!button || !el.contains(button)) return
      const {preset, reset, step, play} = button.dataset
      if (preset) {
        state.assign(resolve(presets[preset]), {settle: true})
        if (presets[preset].note) el.querySelector(".story").textContent = presets[preset].note
      }
      if (reset !== undefined) { stop(); state.assign(state.initial, {settle: true}) }
      if (step) { stop(); move(name_of(control_of(button)), Number(step)); state.settle() }
      if (play !== undefined) playing === button ? stop() : start(button)
      if (button.dataset.save) TakeAway[button.dataset.save](el, figure)
    })

    // ---- playing a control: a position every so many milliseconds, to the last one
    let playing = null, next = 0
    function move(name, by) {
      const axis = state.axes[name], k = Math.max(0, Math.min(axis.values.length - 1, state.index(name) + by))
      state.assign({[name]: axis.values[k]})
      return k < axis.values.length - 1
    }
    function start(button) {
      stop()
      const name = name_of(control_of(button)), {values, play} = state.axes[name]
      if (state.index(name) === values.length - 1) state.assign({[name]: values[0]})
      playing = button
      button.textContent = "Pause"
      next = performance.now() + play
      const tick = now => {
        if (playing !== button) return
        const by = Math.max(0, Math.floor((now - next) / play) + 1)
        next += by * play
        if (by && !move(name, by)) stop()
        else requestAnimationFrame(tick)
      }
      requestAnimationFrame(tick)
    }
    function stop() {
      if (!playing) return
      playing.textContent = "Play"
      playing = null
      state.settle()
    }

    // ---- a choice whose values are places on plots: a click chooses the nearest
    for (const [name, {points}] of Object.entries(controls)) {
      for (const [plot, places] of Object.entries(points ?? {})) {
        const view = by_name[plot], slot = el.querySelector(`[data-plot="${plot}"]`)
        slot.classList.add("clickable")
        slot.addEventListener("click", event => {
          const box = slot.getBoundingClientRect(), {frame} = view
          const x = event.clientX - box.left, y = event.clientY - box.top
          const far = places.map(([px, py]) => Math.hypot(frame.x_scale.compute(px) - x, frame.y_scale.compute(py) - y))
          state.assign({[name]: state.axes[name].values[far.indexOf(Math.min(...far))]}, {settle: true})
        })
      }
    }

    // ---- what moves is drawn on a canvas of its own, which Bokeh does not clip to the frame
    const clip = () => {
      for (const {canvas_view, frame: {bbox}, bbox: {width, height}} of plots) {
        canvas_view.events_el.tabIndex = -1    // nothing happens there that a key could do
        canvas_view.overlays.el.style.clipPath = `inset(${bbox.top}px ${width - bbox.right}px ${height - bbox.bottom}px ${bbox.left}px)`
      }
    }

    // ---- a line to drag lies over its plot, from the place of its first value to that of its last
    const place_lines = () => {
      for (const line of all(".on-plot")) {
        const {frame} = by_name[line.dataset.over], {values} = state.axes[line.dataset.twin]
        const {left, width} = frame.bbox, top = frame.y_scale.compute(values.at(-1)), height = frame.y_scale.compute(values[0]) - top
        for (const [side, length] of Object.entries({left, top, width, height})) line.style.setProperty(`--line-${side}`, `${length}px`)
      }
    }
    const fit = () => { clip(); place_lines() }
    fit()
    new ResizeObserver(() => requestAnimationFrame(fit)).observe(el)

    const figure = {spec, state, columns, plots, text, fill, show, shown, move, stop}
    const recolour = colour(plots, colors), theme = () => recolour(getComputedStyle(el))
    theme()
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme)
    addEventListener("themechange", theme)
    await show()
    summarize()
    tabulate()      // a reader may have unfolded the numbers before
    el.dataset.live = ""
    return figure
  }

  return {bring_to_life}
})()
