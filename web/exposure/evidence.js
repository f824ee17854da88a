// What the answers rest on: every coalition, every declared fact with its source, what was assumed, and which answers hang on what.

const COALITIONS_SHOWN = 200;

function coalitionTable(item, facts) {
  return ["read", "cut", "degrade"].map((question) => {
    const list = item.states[question].coalitions;
    return el("div", { class: "list" }, el("h4", {}, t(`${question}.title`), " ", el("span", { class: "more" }, item.states[question].too_many ? t("too_many") : tn("coalitions", list.length))),
      list.length ? el("ul", { class: "coalitions" }, list.slice(0, COALITIONS_SHOWN).map((c) => el("li", {}, c.length ? coalitionOf(c, facts) : t("nobody_needed")))) : item.states[question].too_many ? null : el("p", { class: "empty" }, t(`${question}.nobody`)),
      list.length > COALITIONS_SHOWN ? el("p", { class: "more" }, tn("more.coalitions", list.length - COALITIONS_SHOWN)) : null);
  });
}

function renderCoalitions(now) {
  replace(by("coalitions-body"), now.classes.map((item) =>
    el("details", { id: `coalitions-${item.key}`, open: page.open_lists.has(item.key), ontoggle: (e) => (e.target.open ? page.open_lists.add(item.key) : page.open_lists.delete(item.key)) },
      el("summary", { id: `coalitions-of-${item.key}` }, className(item), " ", el("span", { class: "more" }, `ρ ${minText(item.states.read.min)} · δ ${minText(item.states.cut.min)}`)), el("div", { class: "lists" }, coalitionTable(item, now.facts)))));
}

function factRows(kind, parties) {
  return parties.flatMap((party) => party.edges.map((edge, i) => el("tr", { class: i ? "" : "first" },
    i ? null : el("th", { scope: "rowgroup", rowspan: party.edges.length }, party.id, el("span", { class: "more" }, `${t(`kind.${kind}`)}${party.provider ? `, ${providerName(party.provider)}` : ""}${party.region ? ` ${party.region}` : ""}`)),
    el("td", {}, el("abbr", { title: stateName(edge.state, page.report.facts) }, edge.state)), el("td", {}, t(`basis.${edge.basis}`)), el("td", {}, t(`cap.${edge.cap}`)),
    el("td", {}, levelMark(edge.level)), el("td", { class: "source" }, edge.source || t("no_source")), el("td", {}, formatDate(edge.date)))));
}

function levelMark(level) {
  return el("span", { class: `level level-${level.toLowerCase()}` }, levelName(level));
}

function renderFacts() {
  const facts = page.report.facts;
  const head = ["fact.party", "fact.state", "fact.basis", "fact.cap", "fact.level", "fact.source", "fact.date"];
  replace(by("facts-body"),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("facts.title") }, el("table", { class: "plain facts" },
      el("thead", {}, el("tr", {}, head.map((h) => el("th", { scope: "col" }, t(h))))),
      el("tbody", {}, factRows("island", facts.islands), factRows("keyholder", facts.keyholders), factRows("gateway", facts.gateways), factRows("name", facts.names)))),
    facts.keyholders.length ? el("p", {}, t("facts.threshold", { threshold: formatNumber(facts.keys.threshold), holders: formatNumber(facts.keyholders.length) })) : el("p", {}, t("facts.no_keys")),
    facts.home.length ? el("p", {}, t("facts.home", { states: formatList(facts.home.map((s) => `${stateName(s, facts)} (${s})`)) })) : null,
    el("h3", { id: "assumed" }, t("assumed.title")),
    page.report.assumed.length ? el("ul", { lang: "en" }, page.report.assumed.map((a) => el("li", {}, a))) : el("p", { class: "empty" }, t("assumed.none")));
}

function change(before, after) {
  return before === after ? minText(before) : [minText(before), " → ", el("b", {}, minText(after))];
}

function renderSensitivity() {
  const rows = page.report.sensitivity;
  replace(by("sensitivity-body"), rows.length
    ? el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("sensitivity.title") }, el("table", { class: "plain" },
      el("thead", {}, el("tr", {}, ["sensitivity.fact", "fact.level", "sensitivity.class", "sensitivity.read", "sensitivity.cut"].map((h) => el("th", { scope: "col" }, t(h))))),
      el("tbody", {}, rows.map((r) => el("tr", {}, el("th", { scope: "row" }, `${partyName(r.party)}: ${r.edge.state} ${t("by")} ${t(`basis.${r.edge.basis}`)}`), el("td", {}, levelMark(r.edge.level)), el("td", {}, r.policy), el("td", {}, change(r.rho, r.rho_without)), el("td", {}, change(r.delta, r.delta_without)))))))
    : el("p", { class: "empty" }, t("sensitivity.none")));
}

// "key holder ch" in the reader's language.
function partyName(text) {
  const kinds = { island: "island", "key holder": "keyholder", gateway: "gateway", name: "name" };
  for (const [word, kind] of Object.entries(kinds)) if (text.startsWith(`${word} `)) return `${t(`kind.${kind}`)} ${text.slice(word.length + 1)}`;
  return text;
}

function renderAdversaries() {
  const rows = page.report.adversaries || [];
  by("adversaries").hidden = !rows.length;
  const help = (n) => (n === null ? t("help.none") : n === 0 ? t("help.alone") : tn("help", n));
  replace(by("adversaries-body"), rows.length ? el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("adversaries.title") }, el("table", { class: "plain" },
    el("thead", {}, el("tr", {}, ["adversaries.who", "sensitivity.class", "read.title", "cut.title"].map((h) => el("th", { scope: "col" }, t(h))))),
    el("tbody", {}, rows.map((r) => el("tr", {}, el("th", { scope: "row" }, r.id), el("td", {}, r.policy), el("td", {}, help(r.read_help)), el("td", {}, help(r.cut_help), r.degrades && !r.cuts ? ` (${t("degrades")})` : "")))))) : null);
}

function renderMoves() {
  const rows = page.report.moves || [];
  by("moves").hidden = !rows.length;
  const way = (p) => `${p.code[1]}/${p.code[0]}: ${p.islands.join(", ")}`;
  replace(by("moves-body"), rows.length ? el("ul", {}, rows.map((m) => el("li", {}, el("b", {}, m.bucket || t("class.journal")), ` (${m.policy}): ${way(m.from)} → ${way(m.to)}. ${formatBytes(m.bytes)}, ${formatMoney(m.cost)}`, m.reasons.length ? el("ul", { lang: "en" }, m.reasons.map((r) => el("li", {}, r))) : null))) : null);
}
