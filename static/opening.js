// Sets the picture at the head of the article in motion: the densities that NumPy computed, one after the other.
Page.opening = picture => {
  const PERIOD = 24000, FRAME = 40      // milliseconds once round, and between two drawings
  const box = document.querySelector(".opening-picture"), button = box.querySelector("button")
  const paths = [...box.querySelectorAll("path")].map(path => ({path, side: path.classList[0], layer: Number(path.dataset.layer)}))
  const times = picture.with.length
  let now = 0, last = 0, moving = false, visible = false

  function draw() {
    const place = now / PERIOD * times, k = Math.floor(place) % times, next = (k + 1) % times, part = place % 1
    for (const {path, side, layer} of paths) {
      const from = picture[side][k][layer], to = picture[side][next][layer]
      const left = picture.left[side], floor = picture.floor - picture.rise * layer, step = picture.panel / (from.length - 1)
      let d = `M${left} ${floor}`
      for (let i = 0; i < from.length; i++) d += `L${left + i * step} ${(floor - picture.tall * (from[i] + part * (to[i] - from[i]))).toFixed(1)}`
      path.setAttribute("d", `${d}L${left + picture.panel} ${floor}`)
    }
  }
  function tick(time) {
    if (!moving || !visible) return
    if (time - last >= FRAME) {
      now = (now + Math.min(time - last, 100)) % PERIOD
      last = time
      draw()
    }
    requestAnimationFrame(tick)
  }
  function move(wanted) {
    moving = wanted
    button.textContent = moving ? "Pause the picture" : "Play the picture"
    requestAnimationFrame(tick)
  }
  button.hidden = false
  button.addEventListener("click", () => move(!moving))
  new IntersectionObserver(([{isIntersecting}]) => { visible = isIntersecting; requestAnimationFrame(tick) }).observe(box)
  move(!matchMedia("(prefers-reduced-motion: reduce)").matches)
}
