// The page around the figures: each comes to life when the reader comes near, in the state that the address names.
const Page = (() => {
  const bokeh = document.currentScript.dataset.bokeh
  const alone = document.documentElement.dataset.figure      // the name of the figure whose page this is, if it is one's
  const embed = alone ? Embed : null                         // such a page has embed.js, too

  // ---- scripts arrive when they are needed; a payload calls `define` (a classic script works from a file, too)
  const script = src => new Promise((done, failed) => {
    document.head.append(Object.assign(document.createElement("script"), {src, onload: done,
      onerror: () => failed(new Error(`${src} could not be loaded`))}))
  })
  const once = {}
  const load = src => once[src] ??= script(src).catch(error => {
    delete once[src]     // the next time it may come
    throw error
  })
  const payloads = {}
  const define = (name, payload) => { payloads[name] = payload }

  // ---- the address: `drift=6` on a figure's own page, `saturation.drift=6` on any
  const NOT_OF_A_FIGURE = ["figure", "go", "live", ...(embed?.OPTIONS ?? [])]
  const asked_for = query => query.getAll("figure").at(-1)     // as the server has it: the last one counts
  const is_figure = name => document.getElementById(name)?.matches("figure") ?? false
  function wishes(query) {
    const of_figure = {}, unknown = [], figure = asked_for(query)
    if (figure !== undefined && figure !== alone) unknown.push(`There is no figure “${figure}”: here is the whole article.`)
    for (const [key, written] of query) {
      const dot = key.indexOf("."), name = dot < 0 ? alone : key.slice(0, dot), control = key.slice(dot + 1)
      if (NOT_OF_A_FIGURE.includes(key)) continue
      if (name && is_figure(name)) (of_figure[name] ??= []).push([control, written])
      else unknown.push(`“${key}” in the address is not a control of a figure here, so it is ignored.`)
    }
    return {of_figure, unknown}
  }
  function tell(box, notes) {
    box.replaceChildren(...notes.map(note => Object.assign(document.createElement("span"), {textContent: note})))
    box.hidden = !notes.length
  }
  function grant(el, wished) {
    const {state, spec} = el.figure, notes = []
    let predict = false
    Present.leave(el)
    for (const [control, written] of wished) {
      if (control === "predict" && spec.question) {
        predict = ["on", "true", "1"].includes(written)
        if (!predict && !["off", "false", "0"].includes(written)) notes.push(`“predict=${written}” is not on or off, so it is ignored.`)
        continue
      }
      if (!Object.hasOwn(state.axes, control)) {
        notes.push(`“${control}” in the address is not a control of this figure, so it is ignored.`)
        continue
      }
      const {value, note} = state.axes[control].read(written)
      if (value !== undefined) state.assign({[control]: value})
      if (note) notes.push(note)
    }
    tell(el.querySelector(".notices"), notes)
    predict ? Present.ask(el) : state.settle()
  }

  // ---- addresses that bring a state back: of the article or of a figure's page, here or in the export
  const write = value => value === true ? "on" : value === false ? "off" : String(value)
  function bare(file) {
    const address = new URL(file ?? location.href, location.href)
    const figure = (file?.includes("?") || (!file && alone)) && asked_for(address.searchParams)
    address.search = figure ? `?figure=${figure}` : ""
    address.hash = ""
    return address
  }
  const asking = el => Present.asks(el) ? [["predict", "on"]] : []
  function with_state(address, el, key) {
    for (const [control, value] of [...Object.entries(el.figure.state.values), ...asking(el)]) address.searchParams.set(key(control), write(value))
    return address
  }
  const page_of = el => with_state(bare(alone ? undefined : el.dataset.session ?? `${el.id}.html`), el, control => control)
  function article_at(el) {
    const address = with_state(bare(alone ? "index.html" : undefined), el, control => `${el.id}.${control}`)
    address.hash = el.id
    return address
  }
  const link = el => (alone ? page_of : article_at)(el).href
  function iframe(el) {
    const address = page_of(el), query = new URLSearchParams(location.search)
    for (const option of embed?.OPTIONS ?? []) if (query.has(option)) address.searchParams.set(option, query.get(option))
    const frame = Object.assign(document.createElement("iframe"), {src: address.href, title: el.getAttribute("aria-label"),
      width: "100%", height: Math.ceil(el.getBoundingClientRect().height), style: "border:0", allow: "clipboard-write *; fullscreen *"})
    frame.setAttribute("loading", "lazy")
    return frame.outerHTML
  }
  // The links of a figure to its own page and to its place in the article take its state along.
  function refer(el) {
    for (const anchor of document.querySelectorAll(`#${el.id} [data-goes=alone], [data-goes=article]`)) {
      anchor.href = (anchor.dataset.goes === "alone" ? page_of : article_at)(el).href
    }
  }
  // The address bar follows when a control is let go: with what differs from its start, and without a new entry.
  const PAUSE = 300     // milliseconds; a browser refuses a flood
  let soon
  const named = {}       // figure -> the controls that the address has to name, and their values
  function remember(el, controls) {
    named[el.id] = controls
    clearTimeout(soon)
    soon = setTimeout(() => {
      const address = new URL(location.href)
      for (const [figure, controls] of Object.entries(named)) {
        const own = name => alone ? name === "predict" || Object.hasOwn(el.figure.state.axes, name) : name.startsWith(`${figure}.`)
        for (const name of [...address.searchParams.keys()].filter(own)) address.searchParams.delete(name)
        for (const [control, value] of controls) address.searchParams.set(alone ? control : `${figure}.${control}`, write(value))
      }
      if (!alone) address.hash = el.id
      try { history.replaceState(history.state, "", address) } catch { /* a page that has no address of its own */ }
    }, PAUSE)
  }
  const differs = ({id}) => ([control, value]) => value !== payloads[id].values[control]
  const moved = el => [...Object.entries(el.figure.state.values).filter(differs(el)), ...asking(el)]

  // ---- a figure comes to life, once
  const lives = {}
  const hydrate = el => lives[el.id] ??= (el.dataset.session ? seat(el) : come_to_life(el)).catch(error => {
    tell(el.querySelector(".notices"), [`This figure could not be brought to life: ${error.message}. Reload the page to try again.`])
    throw error
  })
  async function come_to_life(el) {
    // A page in a single file has them already.
    await Promise.all([window.Bokeh ?? load(bokeh), payloads[el.id] ?? load(el.dataset.payload)])
    embed?.enlarge(payloads[el.id].doc)
    const {doc, roots, values} = payloads[el.id]
    const slots = Object.fromEntries(Object.entries(roots).map(([name, id]) => [id, el.querySelector(`[data-plot="${name}"]`)]))
    const item = {docid: el.id, roots: slots, root_ids: Object.keys(slots)}
    const [views] = await Bokeh.embed.embed_items({[el.id]: doc}, [item])
    const plots = Object.keys(roots).map(name => views.roots.find(view => view.model.name === name))
    const figure = el.figure = await Figure.bring_to_life(el, plots, values)
    follow(el.id, figure)
    const wished = wishes(new URLSearchParams(location.search)).of_figure[el.id]
    if (wished) grant(el, wished)
    if (figure.spec.training.length) document.documentElement.dataset.live === undefined ? Lab.recorded(el, figure, load) : Lab.live(el, figure)
    refer(el)
    figure.state.settled.push(() => {
      refer(el)
      if (!embed?.framed) remember(el, moved(el))
    })
    el.addEventListener("click", ({target}) => {
      const button = target.closest("[data-copy-link], [data-copy-embed]")
      if (button) copy(button, "copyLink" in button.dataset ? link(el) : iframe(el), el.querySelector(".notices"))
    })
    embed?.begin(el)
  }

  // ---- a figure for which a server works is a page of its own, in a frame that opens when the reader comes near; when
  // it does not open, the figure comes to life here, without the server
  const PATIENCE = 20_000, SIGN = "bn-explainer:"
  const seated = {}      // figure -> its frame, and the controls that the address has to name
  function seat(el) {
    const wished = wishes(new URLSearchParams(location.search)).of_figure[el.id] ?? []
    const address = new URL(el.dataset.session, location.href)
    for (const [control, written] of wished) address.searchParams.set(control, written)
    const frame = Object.assign(document.createElement("iframe"), {className: "session", src: address.href,
      title: el.getAttribute("aria-label"), allow: "clipboard-write; fullscreen"})
    const mentioned = new Set(wished.map(([control]) => control))
    let first
    return new Promise(done => {
      const patience = setTimeout(() => {
        frame.remove()
        delete el.dataset.session
        delete el.dataset.seated
        el.inert = false
        const note = "The laboratory of this server does not open, so recordings are played instead."
        done(come_to_life(el).then(() => tell(el.querySelector(".notices"), [note])))
      }, PATIENCE)
      addEventListener("message", ({source, data}) => {
        if (source !== frame.contentWindow || !data?.type?.startsWith?.(SIGN)) return
        const said = data.type.slice(SIGN.length)
        if (said === "height") frame.style.height = `${data.height}px`
        if (said === "ready") {
          clearTimeout(patience)
          first ??= data.state
          seated[el.id] = frame
          done()
        }
        if (said === "change") {
          for (const [control, value] of Object.entries(data.state)) if (value !== first[control]) mentioned.add(control)
          remember(el, [...mentioned].map(control => [control, data.state[control]]))
        }
      })
      frame.style.height = `${el.offsetHeight}px`    // so that nothing moves when it opens
      el.dataset.seated = ""
      el.after(frame)
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
      if (seated[name]) seated[name].contentWindow.postMessage({type: `${SIGN}set`, state: Object.fromEntries(wished)}, location.origin)
      else grant(el, wished)
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
    embed?.furnish(document.getElementById(alone))
    tell(document.getElementById("notices"), [...wishes(new URLSearchParams(location.search)).unknown, ...(embed?.notes ?? [])])
    const near = new IntersectionObserver(entries => {
      for (const {isIntersecting, target} of entries) {
        if (!isIntersecting) continue
        near.unobserve(target)
        turn = turn.then(() => {
          const opens = "session" in target.dataset, life = hydrate(target).catch(() => {})    // it has said so itself
          return opens ? undefined : life      // what opens in a frame does not keep the others waiting
        })
      }
    }, {rootMargin: "800px"})
    const figures = [...document.querySelectorAll("figure[data-payload]")]
    // It will be elsewhere: the focus does not go where it would be lost.
    for (const el of figures) el.inert = "session" in el.dataset
    // In its frame a figure is seen only when it has told its height.
    if (document.documentElement.dataset.live !== undefined) figures.forEach(hydrate)
    else figures.forEach(el => near.observe(el))
  }
  // Sections that nobody has seen have a guessed height, so the browser would land beside what the address names.
  function land() {
    const target = location.hash && document.getElementById(location.hash.slice(1))
    if (!target) return
    const sections = document.querySelectorAll("main > section")
    const lay_out = visibility => sections.forEach(section => { section.style.contentVisibility = visibility })
    lay_out("visible")
    target.scrollIntoView({behavior: "instant"})
    requestAnimationFrame(() => requestAnimationFrame(() => lay_out("")))     // the heights are remembered by then
  }
  // In the export an address for the server's pages, `?figure=saturation&drift=6`, leads to the same page here.
  const asked = asked_for(new URLSearchParams(location.search))
  if (!alone && is_figure(asked)) {
    const address = new URL(`${asked}.html${location.search}`, location.href)
    address.searchParams.delete("figure")
    location.replace(address)
  } else {
    watch()
    land()
  }
  return {define, link, tell}
})()
