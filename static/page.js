// The page around the figures: each comes to life when the reader comes near, in the state that the address names.
const Page = (() => {
  const bokeh = document.currentScript.dataset.bokeh
  const alone = document.documentElement.dataset.figure      // the name of the figure whose page this is, if it is one's

  // ---- scripts arrive when they are needed; a payload calls `define` (a classic script works from a file, too)
  const script = src => new Promise((done, failed) => {
    document.head.append(Object.assign(document.createElement("script"), {src, onload: done,
      onerror: () => failed(new Error(`${src} could not be loaded`))}))
  })
  const once = {}
  const load = src => once[src] ??= script(src)
  const payloads = {}
  const define = (name, payload) => { payloads[name] = payload }

  // ---- the address: `drift=6` on a figure's own page, `saturation.drift=6` on any
  const OWN_WORDS = ["figure"]
  function wishes(query) {
    const of_figure = {}, unknown = []
    for (const [key, written] of query) {
      const dot = key.indexOf("."), name = dot < 0 ? alone : key.slice(0, dot), control = key.slice(dot + 1)
      if (OWN_WORDS.includes(key)) {
        if (written !== alone) unknown.push(`There is no figure “${written}”: here is the whole article.`)
      } else if (name && document.getElementById(name)?.matches("figure")) (of_figure[name] ??= []).push([control, written])
      else unknown.push(`“${key}” in the address is not a control of a figure here, so it is ignored.`)
    }
    return {of_figure, unknown}
  }
  function tell(box, notes) {
    box.replaceChildren(...notes.map(note => Object.assign(document.createElement("span"), {textContent: note})))
    box.hidden = !notes.length
  }
  function grant(el, wished) {
    const {state} = el.figure, notes = []
    for (const [control, written] of wished) {
      if (!(control in state.axes)) {
        notes.push(`“${control}” in the address is not a control of this figure, so it is ignored.`)
        continue
      }
      const {value, note} = state.axes[control].read(written)
      if (value !== undefined) state.assign({[control]: value})
      if (note) notes.push(note)
    }
    tell(el.querySelector(".notices"), notes)
    state.settle()
  }
  function link(el, {axes, values}) {
    const address = new URL(location.href), query = address.searchParams
    const key = control => alone ? control : `${el.id}.${control}`
    for (const [control, value] of Object.entries(values)) query.set(key(control), axes[control].kind === "switch" ? (value ? "on" : "off") : value)
    if (!alone) address.hash = el.id
    return address.href
  }

  // ---- a figure comes to life, once
  const lives = {}
  const hydrate = el => lives[el.id] ??= come_to_life(el).catch(error => {
    tell(el.querySelector(".notices"), [`This figure could not be brought to life: ${error.message}. Reload the page to try again.`])
    throw error
  })
  async function come_to_life(el) {
    await Promise.all([load(bokeh), load(el.dataset.payload)])
    const {doc, roots, values} = payloads[el.id]
    const slots = Object.fromEntries(Object.entries(roots).map(([name, id]) => [id, el.querySelector(`[data-plot="${name}"]`)]))
    const item = {docid: el.id, roots: slots, root_ids: Object.keys(slots)}
    const [views] = await Bokeh.embed.embed_items({[el.id]: doc}, [item])
    const plots = Object.keys(roots).map(name => views.roots.find(view => view.model.name === name))
    const figure = el.figure = await Figure.bring_to_life(el, plots, values)
    follow(el.id, figure)
    const wished = wishes(new URLSearchParams(location.search)).of_figure[el.id]
    if (wished) grant(el, wished)
    el.addEventListener("click", ({target}) => {
      const button = target.closest("[data-copy-link]")
      if (button) copy(button, link(el, figure.state), el.querySelector(".notices"))
    })
  }
  // Numbers in the text that follow the figure: `data-follow="saturation.drift"`.
  function follow(name, figure) {
    const places = [...document.querySelectorAll(`[data-follow^="${name}."]`)]
    if (!places.length) return
    figure.shown.push(() => {
      for (const place of places) {
        const text = figure.text(place.dataset.follow.slice(name.length + 1))
        if (place.textContent !== text) place.textContent = text
      }
    })
  }
  // A phrase that names a state is a link to it; here it sets the figure, and the page stays.
  document.addEventListener("click", async event => {
    const phrase = event.target.closest('a[href^="?"]')
    if (!phrase || event.ctrlKey || event.metaKey || event.shiftKey) return
    const {of_figure} = wishes(new URL(phrase.href).searchParams)
    event.preventDefault()
    for (const [name, wished] of Object.entries(of_figure)) {
      const el = document.getElementById(name)
      await hydrate(el)
      grant(el, wished)
      const {top, bottom} = el.getBoundingClientRect()
      if (top < 0 || bottom > innerHeight) el.scrollIntoView({block: bottom - top > innerHeight ? "start" : "nearest"})
    }
  })
  async function copy(button, text, notices) {
    const words = button.textContent
    try {
      await navigator.clipboard.writeText(text)
      button.textContent = "Copied"
      setTimeout(() => { button.textContent = words }, 2000)
    } catch {
      if (notices) tell(notices, [`This browser does not let a page copy. Here it is: ${text}`])
    }
  }
  document.addEventListener("click", ({target}) => {
    const button = target.closest("[data-copy-code]")
    if (button) copy(button, button.parentElement.querySelector("pre").textContent)
  })

  // ---- one figure at a time, so that the page never stalls for several
  let turn = Promise.resolve()
  function watch() {
    tell(document.getElementById("notices"), wishes(new URLSearchParams(location.search)).unknown)
    const near = new IntersectionObserver(entries => {
      for (const {isIntersecting, target} of entries) {
        if (!isIntersecting) continue
        near.unobserve(target)
        turn = turn.then(() => hydrate(target)).catch(() => {})    // it has said so itself
      }
    }, {rootMargin: "800px"})
    document.querySelectorAll("figure[data-payload]").forEach(el => near.observe(el))
  }
  watch()
  return {define, link}
})()
