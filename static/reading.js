// What helps in reading the article: the theme, the table of contents that follows, the way from section to section.
{
  const root = document.documentElement

  // ---- light, dark, or as the system says; remembered
  const button = document.querySelector("[data-theme-switch]"), ORDER = ["auto", "light", "dark"]
  const show = theme => {
    if (theme === "auto") delete root.dataset.theme
    else root.dataset.theme = theme
    if (button) button.textContent = `Theme: ${theme}`
    dispatchEvent(new Event("themechange"))
  }
  button?.addEventListener("click", () => {
    const theme = ORDER[(ORDER.indexOf(root.dataset.theme ?? "auto") + 1) % ORDER.length]
    try { theme === "auto" ? localStorage.removeItem("theme") : localStorage.setItem("theme", theme) } catch { /* not remembered */ }
    show(theme)
  })
  if (button) {
    button.hidden = false
    show(root.dataset.theme ?? "auto")
  }
  // Paper is light, and nothing on it unfolds: plots take their colours anew for it, asides open; then all is as before.
  let folded = []
  addEventListener("beforeprint", () => {
    root.dataset.printing = ""
    folded = [...document.querySelectorAll("details.aside:not([open])")]
    folded.forEach(aside => { aside.open = true })
    dispatchEvent(new Event("themechange"))
  })
  addEventListener("afterprint", () => {
    delete root.dataset.printing
    folded.forEach(aside => { aside.open = false })
    dispatchEvent(new Event("themechange"))
  })

  // ---- what an address points to is seen, though it stands in an aside that is folded
  const unfold = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1)), aside = target?.closest?.("details")
    if (!aside || aside.open) return
    aside.open = true
    target.scrollIntoView()
  }
  addEventListener("hashchange", unfold)
  unfold()

  // ---- what the first paint did not wait for is laid out right after it, a section at a time
  const unlaid = [...document.querySelectorAll("main > section")]
  const lay_out = () => {
    const section = unlaid.shift()
    if (!section) return false
    section.style.contentVisibility = "visible"
    return section.offsetHeight > 0
  }
  const in_turn = () => { if (lay_out()) setTimeout(in_turn) }
  requestAnimationFrame(() => setTimeout(in_turn))
  let touched = false
  for (const hand of ["wheel", "touchstart", "keydown", "pointerdown"]) addEventListener(hand, () => { touched = true }, {once: true, passive: true})
  addEventListener("load", () => {
    while (lay_out()) { /* the rest at once: who waited for the page gets all of it */ }
    // Only now is it known where the target of the address stands; and only from now on is scrolling smooth.
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)))
    if (target && !touched) target.scrollIntoView({behavior: "instant"})
    requestAnimationFrame(() => { root.dataset.loaded = "" })
  })

  // ---- the table of contents follows the reader
  const sections = [...document.querySelectorAll("main > section[id]")]
  const entries = new Map(sections.map(section => [section, document.querySelector(`.contents a[href="#${section.id}"]`)]))
  let current = null
  const here = () => sections.findLast(section => section.getBoundingClientRect().top < innerHeight / 3)
  const follow = () => {
    const now = here()
    if (now === current) return
    entries.get(current)?.removeAttribute("aria-current")
    current = now
    entries.get(current)?.setAttribute("aria-current", "true")
  }
  if (sections.length) {
    const watch = new IntersectionObserver(follow, {rootMargin: "-33% 0px -66% 0px"})
    sections.forEach(section => watch.observe(section))
  }

  // ---- to the next section and back, with Alt and Page Down or Page Up
  addEventListener("keydown", event => {
    if (!event.altKey || !["PageDown", "PageUp"].includes(event.key) || !sections.length) return
    const k = sections.indexOf(here()) + (event.key === "PageDown" ? 1 : -1)
    const to = sections[Math.max(0, Math.min(sections.length - 1, k))]
    event.preventDefault()
    to.scrollIntoView()
    to.querySelector("h2").focus({preventScroll: true})
  })
}
