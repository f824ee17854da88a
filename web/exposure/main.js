// The page: one state, one way to change it, everything drawn again from it.

const page = {
  report: null, map: null, before: null, now: null, changes: null,
  theme: "auto", frame: "islands", cell: null, all_pairs: false, code_class: null, flow_class: null, islands_open: false, sliding: false, open_lists: new Set(),
};

function update(change) {
  page.changes = { ...page.changes, ...change };
  render();
}

function reset() {
  page.changes = noChanges();
  render();
  by("answers").focus();
}

function render() {
  page.now = answer(page.report, page.changes);
  renderAnswers(page.now, page.before);
  renderBan(page.now);
  renderSwitches(page.now);
  renderMap(page.now);
  renderMatrix(page.now);
  renderFlow(page.now);
  renderCoalitions(page.now);
  history.replaceState(null, "", writeAddress(language, page.theme, page.changes));
}

// Texts that never change but with the language: elements with data-t.
function renderWords() {
  document.documentElement.lang = language;
  document.title = t("title");
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
  const report = page.report;
  by("subtitle").textContent = t("subtitle", {
    date: formatDate(report.date), islands: formatNumber(report.facts.islands.length), keyholders: formatNumber(report.facts.keyholders.length), gateways: formatNumber(report.facts.gateways.length),
  });
  for (const name of ["en", "fr"]) by(`lang-${name}`).setAttribute("aria-pressed", language === name ? "true" : "false");
  for (const name of ["auto", "light", "dark"]) by(`theme-${name}`).setAttribute("aria-pressed", page.theme === name ? "true" : "false");
}

function renderAll() {
  document.documentElement.dataset.theme = page.theme;
  renderWords();
  renderFacts();
  renderSensitivity();
  renderAdversaries();
  renderMoves();
  render();
}

function start() {
  page.report = JSON.parse(by("report").textContent);
  page.map = JSON.parse(by("world-map").textContent);
  const address = readAddress(location.hash);
  language = address.language || document.documentElement.lang || "en";
  page.theme = address.theme || "auto";
  page.changes = knownChanges(page.report, address.changes);
  if (!location.hash) page.changes = askedChanges(page.report);
  page.before = answer(page.report, noChanges());
  for (const name of ["en", "fr"]) by(`lang-${name}`).addEventListener("click", () => { language = name; renderAll(); });
  for (const name of ["auto", "light", "dark"]) by(`theme-${name}`).addEventListener("click", () => { page.theme = name; renderAll(); });
  by("print").addEventListener("click", () => window.print());
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    renderMap(page.now);
  });
  window.addEventListener("beforeprint", () => document.querySelectorAll("main details").forEach((d) => (d.open = true)));
  if (window.innerWidth < 900) by("switches-details").open = false;
  renderAll();
}

start();
