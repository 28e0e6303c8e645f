// A figure's page as a guest in another page: how it looks there, and what the two say to each other. It runs in the
// head, before the first paint. The options, the messages and their rules are told in docs/embedding.md.
const Embed = (() => {
  const root = document.documentElement, query = new URLSearchParams(location.search), notes = []
  const SIGN = "bn-explainer:", framed = parent !== window

  // ---- options stand in the address, next to the state
  const OPTIONS = ["theme", "background", "controls", "scale", "fit", "origins"]
  const note = (key, instead) => { notes.push(`“${key}=${query.get(key)}” in the address ${instead}`) }
  function one_of(key, ...allowed) {
    const wish = query.get(key)
    if (wish === null || allowed.includes(wish)) return wish
    note(key, `is not one of ${allowed.join(", ")}, so it is ignored.`)
    return null
  }
  const [SMALLEST, LARGEST] = [0.5, 4]
  function read_scale() {
    if (!query.has("scale")) return 1
    const wish = Number(query.get("scale") || NaN)
    if (wish >= SMALLEST && wish <= LARGEST) return wish
    note("scale", `is not a number from ${SMALLEST} to ${LARGEST}, so the type has its usual size.`)
    return 1
  }
  const is_origin = written => {
    if (["*", "null"].includes(written)) return true
    try { return new URL(written).origin === written } catch { return false }
  }
  const nameless = origin => origin.startsWith("file:") ? "null" : origin     // pages from disk have no origin
  const OWN = nameless(location.origin)
  function read_origins() {
    if (!query.has("origins")) return [OWN]
    const wishes = query.get("origins").split(","), good = wishes.filter(is_origin)
    if (good.length < wishes.length) note("origins", "names what is not an origin such as https://example.org, and that is ignored.")
    return good
  }
  const theme = one_of("theme", "auto", "light", "dark"), scale = read_scale(), origins = read_origins()
  if (theme === "auto") delete root.dataset.theme
  else if (theme) root.dataset.theme = theme
  root.toggleAttribute("data-framed", framed)
  root.toggleAttribute("data-transparent", one_of("background", "themed", "transparent") === "transparent")
  root.toggleAttribute("data-fit", one_of("fit", "content", "frame") === "frame")
  root.toggleAttribute("data-scaled", scale !== 1)
  root.style.setProperty("--scale", scale)

  // ---- `controls=drift,spread` shows these only; what would move the others goes, too
  let chosen = null
  function furnish(el) {
    const all = [...new Set([...el.querySelectorAll("[data-control]")].map(box => box.dataset.control))]
    const wish = query.get("controls")
    if (wish !== null) {
      const wishes = wish === "none" ? [] : wish.split(","), known = wishes.filter(name => all.includes(name))
      if (known.length < wishes.length) note("controls", `names what is not a control here; there are ${all.join(", ")} (or none).`)
      if (known.length || !wishes.length) chosen = known
    }
    if (chosen) {
      for (const box of el.querySelectorAll("[data-control], [data-twin]")) box.hidden = !chosen.includes(box.dataset.control ?? box.dataset.twin)
      for (const button of el.querySelectorAll("[data-preset]")) button.hidden = true
      el.querySelector("[data-reset]").hidden = !chosen.length
    }
    if (framed && !root.hasAttribute("data-fit")) new ResizeObserver(([{target}]) => {
      const height = Math.ceil(target.getBoundingClientRect().height)
      parent.postMessage({type: `${SIGN}height`, figure: el.id, height}, "*")
    }).observe(el.parentElement)
  }
  function restrict(el, {state, plots}) {
    // A teacher's figure goes back to where the teacher put it.
    if (framed || chosen) state.initial = {...state.values}
    if (!chosen) return
    for (const [name, preset] of Object.entries(plots[0].model.tags[0].presets)) {
      el.querySelector(`[data-preset="${name}"]`).hidden = !Object.keys(preset.values).every(control => chosen.includes(control))
    }
    for (const [name, {points}] of Object.entries(state.axes)) {
      if (chosen.includes(name)) continue
      for (const plot of Object.keys(points ?? {})) {
        const slot = el.querySelector(`[data-plot="${plot}"]`)
        slot.classList.remove("clickable")
        slot.parentElement.addEventListener("click", event => event.stopPropagation(), {capture: true})
      }
    }
  }

  // ---- large type on the plots: their lengths are numbers in the document, so pointers stay where they point
  const LENGTH = /(_font_size|standoff|tick_out|^min_border_\w+|^size|^line_width)$/
  const longer = length => typeof length === "number" ? length * scale
    : typeof length === "string" && length.endsWith("px") ? `${parseFloat(length) * scale}px`
    : length?.type === "value" ? {...length, value: longer(length.value)} : length
  const UNWRITTEN = {Title: {text_font_size: "13px"}}     // a document leaves out what is as Bokeh has it anyway
  function enlarge(node) {
    if (scale === 1 || node === null || typeof node !== "object") return
    if (node.attributes) node.attributes = {...UNWRITTEN[node.name], ...node.attributes}
    for (const [key, part] of Object.entries(node.attributes ?? {})) if (LENGTH.test(key)) node.attributes[key] = longer(part)
    Object.values(node).forEach(enlarge)
  }

  // ---- messages: any parent may know the height; the rest is for the origins that may command
  const above = location.ancestorOrigins?.[0]       // not in every browser; it spares the console a complaint
  function send(type, message) {
    const nobody_s = origins.some(origin => ["*", "null"].includes(origin))     // what has no origin cannot be addressed
    for (const origin of nobody_s ? ["*"] : origins.filter(origin => above === undefined || above === origin)) {
      parent.postMessage({type: SIGN + type, ...message}, origin)
    }
  }
  function report(el) {
    const said = [...el.querySelectorAll("[data-readout]")].map(({dataset: {readout, value}, textContent: text}) =>
      [readout, {value: value === "" ? null : Number(value), text}])
    return {figure: el.id, state: {...el.figure.state.values}, readouts: Object.fromEntries(said)}
  }
  // All of the values or, when one of them cannot be, none.
  function allowed(wishes, axes) {
    if (wishes === null || typeof wishes !== "object" || Array.isArray(wishes)) throw new Error("“state” is not an object")
    return Object.fromEntries(Object.entries(wishes).map(([name, wish]) => {
      if (!Object.hasOwn(axes, name)) throw new Error(`there is no control “${name}”`)
      const {value, note} = ["number", "string", "boolean"].includes(typeof wish) ? axes[name].read(String(wish)) : {note: "no"}
      if (note) throw new Error(`“${name}” cannot be ${JSON.stringify(wish)}`)
      return [name, value]
    }))
  }
  const commands = {
    set(el, {state: wishes}) {
      const {state, stop} = el.figure, values = allowed(wishes, state.axes)
      stop()
      state.assign(values, {settle: true})
    },
    async get(el, {id}) {
      await el.figure.show()
      send("state", {...report(el), ...(id === undefined ? {} : {id})})
    },
    reset(el) { el.querySelector("[data-reset]").click() },
    async play(el, {control}) {
      while (el.dataset.phase === "connecting") await new Promise(done => { setTimeout(done, 100) })
      const buttons = [...el.querySelectorAll("[data-play], [data-run=go]")]
      const button = buttons.find(each => control === undefined || each.closest("[data-control]")?.dataset.control === control)
      if (el.dataset.phase === "running") return
      if (!button) throw new Error(control === undefined ? "nothing here plays" : `“${control}” does not play`)
      el.figure.stop()
      button.click()
    },
  }
  let come_alive
  let turn = new Promise(done => { come_alive = done })     // commands wait until the figure lives, then for each other
  addEventListener("message", ({source, origin, data}) => {
    if (!framed || source !== parent || typeof data?.type !== "string" || !data.type.startsWith(SIGN)) return
    const name = data.type.slice(SIGN.length)
    const ignore = why => console.warn(`${data.type} is ignored: ${why}`)
    if (!origins.includes("*") && !origins.includes(nameless(origin))) ignore(`${origin} may not command this figure (see its option “origins”)`)
    else if (!Object.hasOwn(commands, name)) ignore(`the commands are ${Object.keys(commands).join(", ")}`)
    else turn = turn.then(async el => {
      try { await commands[name](el, data) } catch (error) { ignore(error.message) }
      return el
    })
  })
  function begin(el) {
    restrict(el, el.figure)
    if (!framed) return
    const {state, show} = el.figure
    const now = () => JSON.stringify(state.values)
    let told = now()
    state.settled.push(async () => {
      if (told === now()) return
      told = now()
      await show()
      send("change", report(el))
    })
    send("ready", report(el))
    come_alive(el)
  }
  return {OPTIONS, notes, framed, furnish, enlarge, begin}
})()
