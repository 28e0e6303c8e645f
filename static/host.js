// A figure as a Panel object: the same markup and script, with the state kept in step with Python.
export function render({model, data, view}) {
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
    // What a reader sets reaches Python on release; what Python sets moves the figure. Both tell only what is news to
    // the other, so that neither undoes what the other has set meanwhile; and what Python says before it has heard the
    // figure's last word is let pass, since it answers that too.
    const known = {...model.state}    // what Python is known to have
    const learn = values => {
      const news = Object.fromEntries(Object.entries(values).filter(([name, value]) => value !== known[name]))
      Object.assign(known, news)
      return news
    }
    let said = 0
    const tell = () => {
      said = Date.now()
      model.send_msg({values: learn(figure.state.values), said})
    }
    model.on("msg:custom", ({state, heard}) => { if (heard >= said) figure.state.assign(learn(state)) })
    figure.state.settled.push(tell)
    tell()    // a notebook loses what Python says before the figure can hear it, so it asks
  })
  return root
}
