// A figure in front of a class: on the whole screen, moved by keys, and asked about before it shows the answer.
const Present = (() => {
  // ---- predict first: the figure stays hidden until an answer is chosen
  const before = {}       // figure -> the values that it had when the question was asked
  const form_of = el => el.querySelector(".question")
  const asks = el => "asking" in el.dataset
  function hide(el, hidden) {
    el.toggleAttribute("data-asking", hidden)
    el.querySelector(".controls").inert = hidden
  }
  function open(el, opened) {
    form_of(el).hidden = !opened
    el.querySelector(".tools [data-predict]").setAttribute("aria-pressed", opened)
  }

  function ask(el) {
    const {state, spec: {question}, stop} = el.figure, form = form_of(el)
    if (!question || asks(el)) return
    stop()
    before[el.id] = {...state.values}
    form.reset()
    form.querySelector("fieldset").disabled = false
    form.querySelector(".verdict").textContent = ""
    for (const label of form.querySelectorAll("label")) delete label.dataset.right
    Object.assign(form.querySelector("[type=submit]"), {disabled: true, hidden: false})
    hide(el, true)
    open(el, true)
    state.assign(question.start, {settle: true})
  }

  async function answer(el) {
    const {state, spec: {question}, show, fill} = el.figure, form = form_of(el), button = form.querySelector("[type=submit]")
    const answers = [...form.querySelectorAll("label")], right = answers[question.right]
    const chosen = answers.findIndex(label => label.control.checked)
    button.disabled = true
    state.assign(question.state)
    await show()
    const verdict = chosen === question.right ? "Right." : `Not so: “${right.textContent}” is right.`
    right.dataset.right = ""
    form.querySelector("fieldset").disabled = true
    form.querySelector("[data-predict]").focus({preventScroll: true})
    button.hidden = true
    hide(el, false)
    // A power of ten is not broken between two lines.
    form.querySelector(".verdict").textContent = `${verdict} ${fill(question.why).replaceAll(" × ", "\u00a0×\u00a0")}`
    state.settle()
  }

  // Who leaves without an answer has seen nothing, and finds the figure as it was.
  function leave(el) {
    if (!form_of(el) || form_of(el).hidden) return
    if (form_of(el).contains(document.activeElement)) el.querySelector(".tools [data-predict]").focus()
    open(el, false)
    if (!asks(el)) return
    hide(el, false)
    el.figure.state.assign(before[el.id], {settle: true})
  }

  function predict(el) {
    const form = form_of(el)
    if (!form) return
    if (!form.hidden) return leave(el)
    ask(el)
    form.querySelector("input").focus({preventScroll: true})
    form.scrollIntoView({block: "nearest"})
  }

  document.addEventListener("change", ({target}) => {
    const form = target.closest(".question")
    if (form) form.querySelector("[type=submit]").disabled = false
  })
  document.addEventListener("submit", event => {
    const el = event.target.closest("figure[data-live]")
    if (!el) return
    event.preventDefault()
    answer(el)
  })

  // ---- the whole screen
  async function fill_screen(el) {
    try { await (document.fullscreenElement ? document.exitFullscreen() : el.requestFullscreen()) } catch { /* where a page above does not allow it */ }
  }
  document.addEventListener("fullscreenchange", () => {
    for (const button of document.querySelectorAll("[data-fullscreen]")) {
      button.textContent = button.closest("figure") === document.fullscreenElement ? "Leave full screen" : "Full screen"
    }
  })
  if (!document.fullscreenEnabled) document.querySelectorAll("[data-fullscreen]").forEach(button => { button.hidden = true })

  // ---- keys
  let stepped = null      // the figure whose control is stepped as long as the key is down
  function step(el, by) {
    const {state: {axes}, move, stop} = el.figure
    const sliders = Object.keys(axes).filter(name => axes[name].kind === "range" && !el.querySelector(`[data-control="${name}"]`).hidden)
    const name = sliders.find(slider => axes[slider].play) ?? sliders[0]
    if (!name) return
    stop()
    move(name, by)
    stepped = el
  }
  const press = selector => el => el.querySelector(selector)?.click()
  // `moves`: not while a question is asked. `repeats`: again and again as long as the key is down.
  const KEYS = {
    p: {does: "play, or pause", act: press("[data-control]:not([hidden]) [data-play], [data-run=go]"), moves: true},
    ".": {does: "one step on: what plays, or the first slider", act: el => step(el, 1), moves: true, repeats: true},
    ",": {does: "one step back", act: el => step(el, -1), moves: true, repeats: true},
    r: {does: "reset", act: press("[data-reset]:not([hidden])"), moves: true},
    q: {does: "predict first: a question, and then the figure", act: predict},
    f: {does: "full screen, and back", act: fill_screen},
    "?": {does: "this list", act: () => list()},
  }
  const typed_in = "textarea, select, [contenteditable], input:not([type=range], [type=radio], [type=checkbox])"
  // The figure that is looked at: the one with the focus, or else the one that has most of the window.
  function looked_at() {
    if (document.fullscreenElement) return document.fullscreenElement.closest("figure[data-live]")
    const seen = el => {
      const {top, bottom, height} = el.getBoundingClientRect()
      return (Math.min(bottom, innerHeight) - Math.max(top, 0)) / Math.min(height, innerHeight)
    }
    const [first] = [...document.querySelectorAll("figure[data-live]")].filter(el => seen(el) > 1 / 3)
      .sort((a, b) => b.contains(document.activeElement) - a.contains(document.activeElement) || seen(b) - seen(a))
    return first
  }
  addEventListener("keydown", event => {
    const {key, target, repeat} = event
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return
    if (!Object.hasOwn(KEYS, key) || !wanted() || target.matches?.(typed_in) || dialog?.open) return
    const {act, moves, repeats} = KEYS[key], el = looked_at()
    if (!el || (moves && asks(el)) || (repeat && !repeats)) return
    event.preventDefault()
    act(el)
  })
  // As with a slider: what follows waits until the hand lets go.
  addEventListener("keyup", () => {
    stepped?.figure.state.settle()
    stepped = null
  })

  // ---- the list of keys, where they can be switched off for who dictates, or has keys of their own
  const wanted = () => { try { return localStorage.getItem("keys") !== "off" } catch { return true } }
  const want = on => { try { on ? localStorage.removeItem("keys") : localStorage.setItem("keys", "off") } catch { /* not remembered */ } }
  let dialog = null
  function list() {
    const make = (tag, more, ...inside) => {
      const made = Object.assign(document.createElement(tag), more)
      made.append(...inside)
      return made
    }
    if (!dialog) {
      const rows = Object.entries(KEYS).map(([key, {does}]) => make("div", {}, make("dt", {}, make("kbd", {textContent: key})), make("dd", {textContent: does})))
      const box = make("input", {type: "checkbox", checked: wanted()}), close = make("button", {type: "button", textContent: "Close", autofocus: true})
      dialog = make("dialog", {className: "keys"}, make("h2", {id: "keys", textContent: "Keys"}),
        make("p", {textContent: "They move the figure that you look at."}), make("dl", {}, ...rows),
        make("label", {}, box, "Listen to these keys"), close)
      dialog.setAttribute("aria-labelledby", "keys")
      box.addEventListener("change", () => want(box.checked))
      close.addEventListener("click", () => dialog.close())
      document.body.append(dialog)
    }
    dialog.showModal()
  }

  document.addEventListener("click", ({target}) => {
    const button = target.closest("[data-predict], [data-fullscreen], [data-keys]"), el = button?.closest("figure[data-live]")
    if (!el) return
    if ("predict" in button.dataset) predict(el)
    if ("fullscreen" in button.dataset) fill_screen(el)
    if ("keys" in button.dataset) list()
  })
  return {ask, asks, leave}
})()
