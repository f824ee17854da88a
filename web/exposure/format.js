// Numbers, dates and sizes in the language's way. `language` is set once by words.js and changes with the switch.

let language = "en";

const UNITS = { en: ["B", "kB", "MB", "GB", "TB", "PB", "EB"], fr: ["o", "ko", "Mo", "Go", "To", "Po", "Eo"] };
const SPACE = "\u00a0";

function locale() {
  return language === "fr" ? "fr-FR" : "en-GB";
}

function formatNumber(value, digits = 0) {
  return new Intl.NumberFormat(locale(), { maximumFractionDigits: digits }).format(value);
}

// Three significant digits, powers of ten: 3.2 TB.
function formatBytes(bytes) {
  let at = 0;
  let value = bytes;
  while (value >= 999.5 && at < 6) {
    value /= 1000;
    ++at;
  }
  const digits = at === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return formatNumber(value, digits) + SPACE + UNITS[language][at];
}

function formatMoney(dollars) {
  if (dollars === null || dollars === undefined) return t("unknown");
  const digits = dollars !== 0 && dollars < 100 ? 2 : 0;
  return new Intl.NumberFormat(locale(), {
    style: "currency", currency: "USD", currencyDisplay: language === "fr" ? "symbol" : "narrowSymbol",
    minimumFractionDigits: digits, maximumFractionDigits: digits,
  }).format(dollars);
}

// Two significant digits in the largest unit that gives at least one and a half: "36 hours", "9.3 days".
function formatDuration(seconds) {
  if (seconds > 0 && seconds < 0.1) return t("instant");
  const steps = [["second", 1], ["minute", 60], ["hour", 3600], ["day", 86400]];
  let [unit, size] = steps[0];
  for (const [name, length] of steps) if (seconds >= 1.5 * length) [unit, size] = [name, length];
  const value = seconds / size;
  return new Intl.NumberFormat(locale(), { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
}

function formatDate(text) {
  const parts = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text || "");
  if (!parts) return text || "";
  const date = new Date(Date.UTC(+parts[1], +parts[2] - 1, +parts[3]));
  return new Intl.DateTimeFormat(locale(), { dateStyle: "long", timeZone: "UTC" }).format(date);
}

function formatBandwidth(bits_per_second) {
  const giga = bits_per_second / 1e9;
  return giga >= 1 ? `${formatNumber(giga, 1)}${SPACE}Gbit/s` : `${formatNumber(bits_per_second / 1e6, 1)}${SPACE}Mbit/s`;
}

// "a, b and c".
function formatList(items) {
  return new Intl.ListFormat(locale(), { type: "conjunction" }).format(items);
}
