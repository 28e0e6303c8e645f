// How a number is written, on labels, in readouts and in sentences: the twin of widgets/numbers.py.
const Numbers = (() => {
  const MINUS = "\u2212", THIN_SPACE = "\u202f", NOTHING = "\u2013"
  const superscripts = {"-": "\u207b", 0: "\u2070", 1: "\u00b9", 2: "\u00b2", 3: "\u00b3", 4: "\u2074",
    5: "\u2075", 6: "\u2076", 7: "\u2077", 8: "\u2078", 9: "\u2079"}

  // A real minus sign, and none before zero.
  const signed = digits => digits.startsWith("-") ? (/[1-9]/.test(digits) ? MINUS : "") + digits.slice(1) : digits
  // A thin space between thousands from 10 000 on.
  const grouped = digits => {
    const [whole, rest] = digits.split(".")
    const parts = /\d{5}/.test(whole) ? whole.replace(/\B(?=(\d{3})+$)/g, THIN_SPACE) : whole
    return rest === undefined ? parts : `${parts}.${rest}`
  }
  const power_of_ten = value => {
    const [mantissa, exponent] = value.toExponential(1).split("e")
    return `${signed(mantissa)} × 10${[...exponent.replace("+", "")].map(c => superscripts[c]).join("")}`
  }

  const text = (value, {digits, unit, scale, small, significant}) => {
    if (Number.isNaN(value)) return NOTHING
    if (value !== 0 && Math.abs(value) < (significant ? Math.max(small, 1e-6) : small)) return power_of_ten(value)
    const scaled = value * scale
    const plain = significant ? String(Number(scaled.toPrecision(digits))) : scaled.toFixed(digits)
    return signed(grouped(plain)) + (unit && THIN_SPACE + unit)
  }
  return {text}
})()
