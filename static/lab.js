// The laboratory: start, pause, go on, stop. A course brings what the networks do: trained now by the server, or played
// from a recording. What it brings is fed to the figure, which shows it as it shows everything else.
const Lab = (() => {
  const whole = count => Numbers.text(count, {digits: 0, scale: 1, unit: "", small: 0, significant: false})

  // `begin(hear)` makes a course; it hears {race, fresh, rows, networks, note, lost} and has look, start, pause, stop.
  function attach(el, figure, begin) {
    const {state} = figure, {training} = figure.spec
    const go = el.querySelector("[data-run=go]"), stop = el.querySelector("[data-run=stop]")
    const bar = el.querySelector("progress"), pace = el.querySelector(".pace"), notices = el.querySelector(".notices")
    const settings = () => state.values_of(training)
    const key = () => JSON.stringify(settings())

    // idle -> running <-> paused -> finished; idle, paused or lost may have something drawn already
    let phase = "connecting", race = 0, of = key(), networks = {}
    const WORDS = {connecting: "Start", idle: "Start", running: "Pause", paused: "Go on", finished: "Start again", lost: "Go on"}
    function enter(next) {
      phase = next
      el.dataset.phase = phase
      go.textContent = WORDS[phase]
      go.disabled = phase === "connecting"
      stop.disabled = !["running", "paused"].includes(phase)
      describe()
    }
    function describe() {
      const all = Object.values(networks), sum = pick => all.reduce((total, each) => total + pick(each), 0)
      bar.value = all.length ? sum(({step, steps, ended}) => ended ? 1 : step / steps) / all.length : 0
      const parts = []
      if (phase === "connecting") parts.push("The laboratory opens …")
      if (all.length) {
        const {steps} = all[0], step = Math.max(...all.map(each => each.step))
        parts.push(`step ${whole(step)} of ${whole(steps)}`)
        const rate = sum(each => each.rate ?? 0), left = Math.max(0, ...all.map(each => each.left ?? 0))
        if (phase === "running" && rate) parts.push(`${whole(Math.round(rate))} steps/s`)
        if (phase === "running" && left >= 1) parts.push(`${whole(Math.ceil(left))} s left`)
      }
      if (["paused", "finished"].includes(phase)) parts.push(phase)
      const text = parts.join(" · ")
      if (pace.textContent !== text) pace.textContent = text
    }
    function tell(note) {
      notices.replaceChildren(...(note ? [Object.assign(document.createElement("span"), {textContent: note})] : []))
      notices.hidden = !note
    }

    // ---- what has come in: a column for each place in a row
    let fed = {}
    function add(rows) {
      for (const [name, {columns, whole}] of Object.entries(rows)) {
        if (whole || !fed[name]) fed[name] = columns.map(() => [])
        columns.forEach((column, k) => { for (const value of column) fed[name][k].push(value) })
      }
      state.feed(fed)
    }
    function clear() {
      fed = {}
      networks = {}
      state.feed(fed)
    }

    const course = begin(message => {
      if (message.lost) {
        tell(message.lost)
        if (phase !== "connecting") enter("lost")
        return
      }
      if (message.race !== undefined && message.race !== race) return     // of settings that have changed since
      if (message.note !== undefined) tell(message.note)
      if (message.fresh) clear()
      if (message.networks) Object.assign(networks, message.networks)
      if (message.rows) add(message.rows)
      const all = Object.values(networks)
      if (message.refused) {
        tell(message.refused)
        enter(all.length ? "paused" : "idle")
      } else if (all.length === 2 && all.every(({ended}) => ended)) {
        enter("finished")
        state.settle()     // what came of it is said
      } else if (message.phase) enter(message.phase)
      else describe()
    })

    // ---- the reader's hands
    function open(how) {
      of = key()
      race++
      clear()
      tell("")
      enter(how === "start" ? "running" : "idle")
      course[how](settings(), race)
    }
    go.addEventListener("click", () => {
      if (phase === "lost") course.again()
      else if (phase === "running") { course.pause(race); enter("paused") }
      else if (phase === "finished") open("start")
      else { tell(""); enter("running"); course.start(settings(), race) }
    })
    stop.addEventListener("click", () => {
      course.stop(race)
      race++
      clear()
      enter("idle")
      state.settle()
    })
    // What is drawn is always of what the controls say. A run that goes on while they change begins anew with them.
    state.moved.push(() => {
      if (of === key() || !Object.keys(fed).length) return
      clear()
      describe()
    })
    state.settled.push(() => {
      if (of !== key() && !["connecting", "lost"].includes(phase)) open(phase === "running" ? "start" : "look")
    })
    enter("connecting")
    return {
      opened() { if (["connecting", "lost"].includes(phase)) open(new URLSearchParams(location.search).has("go") ? "start" : "look") },
      tell,
    }
  }

  // ---- a course on the server, through a line that Panel keeps open
  let line = null
  const waiting = []
  function connect(opened) {
    line = opened
    waiting.splice(0).forEach(tell => tell())
  }
  const DOOR = 20_000     // milliseconds until a server that does not open is taken to be gone
  const LOST = "The connection to the server is lost. What was drawn stays; “Go on” connects again."
  function live(el, figure) {
    const desk = attach(el, figure, hear => {
      const say = (what, race, settings = {}) => line.send({do: what, race, settings})
      waiting.push(() => {
        line.hear = hear
        line.lost = () => hear({lost: LOST})
        desk.opened()
      })
      return {
        look: (settings, race) => say("look", race, settings),
        start: (settings, race) => say("start", race, settings),
        pause: race => say("pause", race),
        stop: race => say("stop", race),
        // A new session, in this state: the page anew, if the server answers.
        async again() {
          try {
            const {ok} = await fetch(location.pathname, {method: "HEAD", cache: "no-store"})
            if (!ok) throw new Error("it does not answer")
          } catch {
            hear({lost: "The server still does not answer. What was drawn stays; try again in a moment."})
            return
          }
          const address = new URL(Page.link(el))
          address.searchParams.set("go", "on")
          location.replace(address)
        },
      }
    })
    if (line) waiting.splice(0).forEach(tell => tell())
    else setTimeout(() => { if (!line) desk.tell("The laboratory does not open. Reload the page to try again.") }, DOOR)
  }

  // ---- a course from a recording, where no server trains: what was recorded, in some seconds instead of minutes
  let index = []                      // {settings, steps, number, address} of each race that was recorded
  const races = {}                    // number -> {rows, networks}
  const catalogue = list => { index = list }
  const define = (number, recording) => {
    // What JSON has no word for is no number.
    for (const {columns} of Object.values(recording.rows)) for (const column of columns) column.forEach((value, k) => { column[k] = value ?? NaN })
    races[number] = recording
  }
  const SECONDS = 8                   // for a whole race
  function recorded(el, figure, load) {
    const {axes} = figure.state
    const words = (name, value) => `${axes[name].label.toLowerCase()} ${axes[name].text(value)}`
    const differing = (a, b) => Object.keys(a).filter(name => name !== "steps" && a[name] !== b[name])
    // One that has these settings and goes far enough; else the one that differs in the fewest.
    function find(settings) {
      const far = ({settings: had, steps}) => 2 * differing(settings, had).length + (steps < settings.steps)
      const [nearest] = index.toSorted((a, b) => far(a) - far(b) || a.steps - b.steps)
      return {nearest, fits: far(nearest) === 0}
    }
    const nearest_button = el.querySelector("[data-run=nearest]")
    nearest_button.addEventListener("click", () => {
      const {nearest: {settings, steps}} = find(figure.state.values_of(figure.spec.training))
      figure.state.assign({...settings, steps: Math.min(steps, figure.state.values.steps)}, {settle: true})
    })
    el.dataset.recorded = ""
    const desk = attach(el, figure, hear => {
      let playing = null, shown = 0     // the race that is played, and to which step it is shown
      function look(settings, race) {
        playing = null
        const {nearest, fits} = find(settings)
        nearest_button.hidden = fits
        if (fits) return hear({race, phase: "idle"})
        const others = differing(settings, nearest.settings).map(name => words(name, nearest.settings[name]))
        if (nearest.steps < settings.steps) others.push(`${whole(nearest.steps)} steps`)
        hear({race, refused: `Here recordings are played, and this was not recorded. The nearest recording has ${others.join(", ")}.`})
      }
      function piece({rows, networks}, from, to, steps) {
        const taken = {}
        for (const [name, {columns, whole}] of Object.entries(rows)) {
          const step = rows[`${name.split(".")[0]}.step`].columns[0]
          const place = at => { const k = step.findIndex(value => value > at); return k < 0 ? step.length : k }
          const [first, last] = [place(from), place(to)]
          if (whole ? columns.some(([at]) => at > from && at <= to) : last > first) {
            taken[name] = {columns: whole ? columns : columns.map(column => column.slice(first, last)), whole}
          }
        }
        const far = Object.fromEntries(Object.entries(networks).map(([name, {step}]) =>
          [name, {step: Math.min(step, to), steps, ended: to >= Math.min(step, steps)}]))
        return {rows: taken, networks: far}
      }
      async function start(settings, race) {
        const {nearest, fits} = find(settings)
        if (!fits) return look(settings, race)
        const {number, address} = nearest, go_on = playing?.number === number
        if (!go_on) shown = 0
        const run = playing = {number}
        try {
          if (!races[number]) await load(address)
        } catch (error) {
          return hear({race, refused: `The recording could not be read: ${error.message}.`})
        }
        if (!go_on) hear({race, fresh: true})
        let last = performance.now()
        const tick = now => {
          if (playing !== run) return
          const to = Math.min(settings.steps, shown + settings.steps * (now - last) / 1000 / SECONDS)
          last = now
          hear({race, ...piece(races[number], shown, to, settings.steps)})
          shown = to
          if (shown < settings.steps) requestAnimationFrame(tick)
        }
        requestAnimationFrame(tick)
      }
      return {look, start, pause() { playing = {number: playing?.number} }, stop() { playing = null }}
    })
    desk.opened()
  }
  return {live, connect, recorded, catalogue, define}
})()
