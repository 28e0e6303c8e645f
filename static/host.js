// A figure as a Panel object: the same markup and script, with the state kept in step with Python.
export function render({model, data, view}) {
  // JupyterLab has messages handled in a thread of the kernel, beside the cells. Panel does not reckon with that: they
  // would overtake each other, and be cut into what the cells send.
  for (const kernel of Object.values(window.PyViz?.kernels ?? {})) kernel.commsOverSubshells = "disabled"
  const root = document.createElement("div")
  root.innerHTML = model.markup
  const el = root.querySelector("figure")
  const slots = [...root.querySelectorAll("[data-plot]")], plots = model.get_child("plots")
  slots.forEach((slot, k) => slot.prepend(plots[k]))
  let begun = false
  model.on("after_layout", async () => {
    if (begun) return
    begun = true
    const views = data.plots.map(plot => view.get_child_view(plot))
    const figure = el.figure = await Figure.bring_to_life(el, views, model.state)
    figure.state.assign(model.state)    // what Python has set meanwhile
    // What a reader sets reaches Python on release; what Python sets moves the figure.
    let moved = false
    figure.state.settled.push(() => {
      moved = true
      model.state = {...figure.state.values}
    })
    model.on("state", () => figure.state.assign(model.state))
    // A notebook loses what Python sets before the figure can hear it, so it asks. Its answer is not news to Python, and
    // it comes too late for a reader who has moved the figure meanwhile.
    model.on("msg:custom", state => { if (!moved) data.setv({state}, {sync: false}) })
    model.send_msg("listening")
  })
  return root
}
