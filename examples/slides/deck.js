// The talk: reveal.js turns the slides, and the fragments that are shown set the figures.
{
  const SET = "bn-explainer:set", READY = "bn-explainer:ready", CHANGE = "bn-explainer:change"
  // Pages from disk have no origin by which they could be addressed.
  const to = location.protocol === "file:" ? "*" : location.origin
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches

  Reveal.initialize({
    width: 1280, height: 720, margin: 0, center: false, hash: true, slideNumber: "c/t", pdfSeparateFragments: false,
    transition: still ? "none" : "fade", transitionSpeed: "fast", viewDistance: 2, plugins: [RevealNotes],
  })

  // A slide's figure stands where the fragments say that are shown, in whatever order one came here.
  function set(slide) {
    const frame = slide.querySelector(".live")
    if (!frame?.contentWindow) return
    const shown = [...slide.querySelectorAll(".fragment.visible[data-state]")]
    const state = Object.assign({}, ...[frame, ...shown].map(({dataset}) => JSON.parse(dataset.state)))
    frame.contentWindow.postMessage({type: SET, state}, to)
  }
  const of_fragment = ({fragment}) => { if (fragment.dataset.state) set(fragment.closest("section")) }
  Reveal.on("fragmentshown", of_fragment)
  Reveal.on("fragmenthidden", of_fragment)

  // A figure that a mouse has moved gives the keys back to the talk; one that was reached with Tab keeps them.
  let tabbed = false
  addEventListener("keydown", ({key}) => { tabbed = key === "Tab" }, true)
  addEventListener("message", ({source, data}) => {
    const frame = [...document.querySelectorAll(".live")].find(each => each.contentWindow === source)
    if (frame && data.type === READY) set(frame.closest("section"))
    if (frame && data.type === CHANGE && document.activeElement === frame && !tabbed) {
      frame.blur()
      focus()
    }
  })
}
