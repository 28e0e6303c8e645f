// Runs before the first paint: the theme that the reader chose here before, if any.
{
  let chosen = null
  try { chosen = localStorage.getItem("theme") } catch { /* a reader may forbid storage; then nothing is remembered */ }
  if (chosen) document.documentElement.dataset.theme = chosen
}
