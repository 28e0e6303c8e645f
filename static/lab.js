// The laboratory: start, pause, go on, stop. A course brings what the networks do: trained now by the server, or played
// from a recording. What it brings is fed to the figure, which shows it as it shows everything else.
const Lab = (() => {
  const whole = count => Numbers.text(count, {digits: 0, scale: 1, unit: "", small: 0, significant: false})

  // ---- what has been trained, shown from its first step in some seconds; `rows` are those of all steps
  const SECONDS = 8
  function piece({rows, networks}, from, to) {
    const taken = {}, far = {}
    for (const [name, {columns, whole}] of Object.entries(rows)) {
      const step = rows[`${name.split(".")[0]}.step`]?.columns[0] ?? []
      const place = at => { const k = step.findIndex(value => value > at); return k < 0 ? step.length : k }
      const [first, last] = [place(from), place(to)]
      if (whole ? columns.some(([at]) => at > from && at <= to) : last > first) {
        taken[name] = {columns: whole ? columns : columns.map(column => column.slice(first, last)), whole}
      }
    }
    for (const [name, {step, steps}] of Object.entries(networks)) {
      const end = Math.min(step, steps)
      far[name] = {step: Math.min(end, Math.floor(to)), steps, ended: to >= end}
    }
    return {rows: taken, networks: far}
  }
  // `show` is told what is new; it goes on until the end, or until `pause`.
  function player(race, show) {
    const steps = Math.max(...Object.values(race.networks).map(each => each.steps))
    let shown = 0, frame = 0
    return {
      go() {
        let last = performance.now()
        const tick = now => {
          const to = Math.min(steps, shown + steps * Math.max(0, now - last) / 1000 / SECONDS)
          last = now
          frame = requestAnimationFrame(tick)
          show(piece(race, shown, to))
          shown = to
          if (shown >= steps) cancelAnimationFrame(frame)
        }
        frame = requestAnimationFrame(tick)
      },
      pause() { cancelAnimationFrame(frame) },
    }
  }

  // `begin(hear)` makes a course, with look, start, pause and stop. It hears {race, fresh, rows, networks, phase, refused,
  // lost}, or {race, known} with a whole race, which is then played.
  function attach(el, figure, begin) {
    const {state} = figure, {training} = figure.spec
    const go = el.querySelector("[data-run=go]"), stop = el.querySelector("[data-run=stop]")
    const bar = el.querySelector("progress"), pace = el.querySelector(".pace"), notices = el.querySelector(".notices")
    const settings = () => state.values_of(training)
    const key = () => JSON.stringify(settings())

    // idle -> running <-> paused -> finished; paused or lost may have something drawn already
    let phase = "connecting", race = 0, networks = {}, playing = null, lost = false
    let of = key(), shows = true      // the settings of the race, and whether they are those of the controls now
    const recorded_here = "recorded" in el.dataset     // which is said there already
    const WORDS = {connecting: "Start", idle: "Start", running: "Pause", paused: "Go on", finished: "Watch again", lost: "Go on"}
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
      else if (playing && !recorded_here) parts.push("trained before, played again")
      const text = parts.join(" · ")
      if (pace.textContent !== text) pace.textContent = text
    }
    const tell = note => Page.tell(notices, note ? [note] : [])

    // ---- what has come in: a column for each place in a row
    let fed = {}, wholes = new Set()
    function add(rows) {
      for (const [name, {columns, whole}] of Object.entries(rows)) {
        if (whole) wholes.add(name)
        if (whole || !fed[name]) fed[name] = columns.map(() => [])
        columns.forEach((column, k) => { for (const value of column) fed[name][k].push(value) })
      }
      if (shows) state.feed(fed)
    }
    function clear() {
      fed = {}
      networks = {}
      state.feed(fed)
    }
    // What was trained before is played; a reader who has paused meanwhile goes on later.
    function play(known) {
      const waits = phase === "paused"
      close()
      playing = player(known, show)
      if (!waits) { enter("running"); playing.go() }
    }
    const seen = () => ({networks, rows: Object.fromEntries(Object.entries(fed).map(([name, columns]) => [name, {columns, whole: wholes.has(name)}]))})
    function close() {
      playing?.pause()
      playing = null
      clear()
    }

    const course = begin(message => {
      if (message.lost) {
        tell(message.lost)
        lost = true
        if (phase !== "connecting" && !playing) enter("lost")     // what is played needs no server
        return
      }
      if (message.race !== race) return     // of settings that have changed since
      if (message.known) play(message.known)
      else show(message)
    })
    function show(message) {
      if (message.fresh) clear()
      if (message.networks) Object.assign(networks, message.networks)
      if (message.rows) add(message.rows)
      const all = Object.values(networks)
      if (message.refused) {
        tell(message.refused)
        enter(all.length ? "paused" : "idle")
      } else if (all.length === 2 && all.every(({ended}) => ended)) {
        playing = null
        enter(lost ? "lost" : "finished")
        state.settle()     // what came of it is said
      } else if (message.phase && phase === "idle") enter(message.phase)     // else the reader has pressed Start meanwhile
      else describe()
    }

    // ---- the reader's hands
    function open(how) {
      of = key()
      shows = true
      race++
      close()
      if (lost) return enter("lost")
      tell("")
      enter(how === "start" ? "running" : "idle")
      course[how](settings(), race)
    }
    go.addEventListener("click", () => {
      if (phase === "lost") course.again()
      else if (phase === "finished") play(seen())
      else if (phase === "running") {
        playing ? playing.pause() : course.pause(race)
        enter("paused")
      } else {
        if (!lost) tell("")
        enter("running")
        playing ? playing.go() : course.start(settings(), race)
      }
    })
    stop.addEventListener("click", () => {
      course.stop(race)
      race++
      close()
      enter(lost ? "lost" : "idle")
      state.settle()
    })
    // What is drawn is always of what the controls say. A run that goes on while they change begins anew with them.
    state.moved.push(() => {
      if (shows === (of === key())) return
      shows = !shows
      state.feed(shows ? fed : {})     // a slider that comes back to where it was has its race again
    })
    state.settled.push(() => {
      if (!shows && phase !== "connecting") open(phase === "running" ? "start" : "look")
    })
    enter("connecting")
    return {
      // An address that asks to go on does so once.
      opened() {
        const address = new URL(location.href), goes = address.searchParams.has("go")
        address.searchParams.delete("go")
        if (goes) history.replaceState(history.state, "", address)
        open(goes ? "start" : "look")
      },
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
        // What is shown without Start is what was started here before: a class does not spoil each other's races.
        look: (settings, race) => started.has(settings) ? say("look", race, settings) : hear({race, phase: "idle"}),
        start(settings, race) {
          started.add(settings)
          say("start", race, settings)
        },
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
          const address = new URL(Page.link(el)), had = new URLSearchParams(location.search)
          for (const option of Embed.OPTIONS) if (had.has(option)) address.searchParams.set(option, had.get(option))
          address.searchParams.set("go", "on")
          location.replace(address)
        },
      }
    })
    if (line) waiting.splice(0).forEach(tell => tell())
    // The page came, but no line to the server: then recordings, as in an export.
    else setTimeout(() => {
      if (line) return
      const address = new URL(`lab.html${location.search}`, location.href)
      address.searchParams.delete("figure")
      address.searchParams.set("live", "off")
      location.replace(address)
    }, DOOR)
  }
  // The races that this tab has started, across reloads.
  const started = {
    NAME: "bn-explainer:started",
    all() { try { return JSON.parse(sessionStorage.getItem(this.NAME)) ?? [] } catch { return [] } },
    has(settings) { return this.all().includes(JSON.stringify(settings)) },
    add(settings) { try { sessionStorage.setItem(this.NAME, JSON.stringify([...new Set([...this.all(), JSON.stringify(settings)])])) } catch { /* not remembered */ } },
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
      const most = Math.max(...axes.steps.values.filter(value => value <= Math.min(steps, figure.state.values.steps)))
      figure.state.assign({...settings, steps: most}, {settle: true})
    })
    el.dataset.recorded = ""
    const desk = attach(el, figure, hear => {
      function look(settings, race) {
        const {nearest, fits} = find(settings)
        nearest_button.hidden = fits
        if (fits) return hear({race, phase: "idle"})
        const others = differing(settings, nearest.settings).map(name => words(name, nearest.settings[name]))
        if (nearest.steps < settings.steps) others.push(`${whole(nearest.steps)} steps`)
        hear({race, refused: `Here recordings are played, and this was not recorded. The nearest recording has ${others.join(", ")}.`})
      }
      async function start(settings, race) {
        const {nearest: {number, address}, fits} = find(settings)
        if (!fits) return look(settings, race)
        try {
          if (!races[number]) await load(address)
        } catch (error) {
          return hear({race, refused: `The recording could not be read: ${error.message}.`})
        }
        const {rows, networks} = races[number], {steps} = settings
        const far = Object.entries(networks).map(([name, {step}]) => [name, {step: Math.min(step, steps), steps}])
        hear({race, known: {rows, networks: Object.fromEntries(far)}})
      }
      return {look, start, pause() {}, stop() {}}
    })
    desk.opened()
    if (new URLSearchParams(location.search).has("live")) desk.tell("The server cannot be reached for training, so recordings are played instead.")
  }
  return {live, connect, recorded, catalogue, define}
})()
