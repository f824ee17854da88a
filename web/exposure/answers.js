// The first screen: STORE, READ, CUT and LEAVE of every class, in a number and in words; and the numbers of a ban.

function stateName(id, facts) {
  const state = page.report.states[id];
  if (state) return state[language] || id;
  const bloc = facts.blocs.find((b) => b.id === id);
  return (bloc && bloc[language]) || providerName(id);
}

function providerName(id) {
  const provider = page.report.providers && page.report.providers[id];
  return provider ? provider.name : id;
}

function className(item) {
  if (item.kind === "journal") return t("class.journal");
  if (item.kind === "earlier") return t(item.small ? "class.small" : item.owed ? "class.owed" : "class.earlier", { policy: item.policy });
  return item.policy || t("class.none");
}

function shortName(item) {
  return item.kind === "journal" ? t("class.journal.short") : className(item);
}

function dataClassName(name) {
  const key = `data.${name}`;
  return key in WORDS ? t(key) : name;
}

// "CN + FR + US", each with its name to hover over.
function coalitionOf(units, facts) {
  const parts = [];
  units.forEach((unit, i) => {
    if (i) parts.push(" + ");
    const home = facts.home.includes(unit);
    parts.push(el("abbr", { title: stateName(unit, facts) + (home ? `, ${t("home")}` : ""), class: home ? "unit home" : "unit" }, unit));
  });
  return el("span", { class: "coalition" }, parts);
}

// How bad: "nobody", "alone", "together". Never shown by colour alone: the words say it too.
function toneOf(question, answer_of, facts) {
  if (answer_of.min === null) return "none";
  if (answer_of.min === undefined || answer_of.min > 1) return "together";
  const own = answer_of.coalitions.every((c) => c.length > 1 || facts.home.includes(c[0]));
  return own ? "own" : "alone";
}

function answerWords(question, answer_of) {
  if (answer_of.min === undefined) return t("too_many");
  if (answer_of.min === null) return t(`${question}.nobody`);
  if (answer_of.min === 0) return t(`${question}.already`);
  return tn(`${question}.by`, answer_of.min);
}

function coalitionLine(answer_of, facts) {
  if (!answer_of.min) return null;
  if (answer_of.too_many) return el("p", { class: "more" }, t("too_many"));
  const smallest = answer_of.coalitions.filter((c) => c.length === answer_of.min);
  const shown = smallest.slice(0, answer_of.min === 1 ? 8 : 3);
  const parts = shown.flatMap((c, i) => [i ? el("span", { class: "or" }, ` ${t("or")} `) : null, coalitionOf(c, facts)]);
  const same = smallest.length - shown.length;
  const larger = answer_of.coalitions.length - smallest.length;
  const more = [same > 0 ? ` ${tn("more.same", same)}` : "", larger > 0 ? `${same > 0 ? "; " : " · "}${tn("more.larger", larger)}` : ""].join("");
  return el("p", { class: "who" }, parts, more ? el("span", { class: "more" }, more) : null);
}

function cell(question, number, words, tone, before, ...more) {
  return el("div", { class: `answer ${tone}`, "data-question": question },
    el("dt", {}, t(`${question}.title`)),
    el("dd", {},
      el("p", { class: "figure" }, el("span", { class: "number" }, number), before !== null && before !== number ? el("span", { class: "before" }, t("was", { before })) : null),
      el("p", { class: "words" }, words), more));
}

function minText(min) {
  return min === undefined ? "?" : min === null ? "∞" : formatNumber(min);
}

function storeCell(item, facts) {
  const states = new Set();
  for (const id of item.islands) for (const e of facts.islands.find((p) => p.id === id).edges) if (e.basis === "place") states.add(e.state);
  const counts = item.holdings.length
    ? t("store.counts", { objects: formatNumber(item.objects), bytes: formatBytes(item.bytes), stored: formatBytes(item.stored_bytes) })
    : t("store.no_counts");
  const unconfirmed = item.confirmed ? item.islands.length - item.confirmed.length : 0;
  return cell("store", t("store.code", { n: item.code[0], k: item.code[1] }), tn("store.words", item.code[1]), "plain", null,
    el("p", { class: "who" }, t("store.ground"), " ", coalitionList([...states].sort(byText), facts)),
    el("p", { class: "more" }, counts), unconfirmed > 0 ? el("p", { class: "note" }, tn("store.unconfirmed", unconfirmed)) : null);
}

function coalitionList(units, facts) {
  return el("span", { class: "coalition" }, units.flatMap((u, i) => [i ? ", " : null, el("abbr", { title: stateName(u, facts), class: "unit" }, u)]));
}

function leaveCell(item, rows) {
  const bad = rows.filter((r) => !r.survives);
  const worst = rows.slice().sort((a, b) => b.copy_out.bytes - a.copy_out.bytes || byText(a.target.id, b.target.id))[0];
  const known = item.holdings.length > 0 && worst;
  const words = bad.length ? t("leave.not", { who: formatList(bad.map((r) => providerName(r.target.id))) }) : tn("leave.any", rows.length);
  const number = t("store.code", { k: formatNumber(rows.length - bad.length), n: formatNumber(rows.length) });
  return cell("leave", number, words, bad.length ? "alone" : "together", null,
    known ? el("p", { class: "more" }, t("leave.worst", {
      who: providerName(worst.target.id), bytes: formatBytes(worst.copy_out.bytes), time: formatDuration(worst.copy_out.seconds[0]),
      bandwidth: formatBandwidth(page.now.bandwidths[0]), cost: formatMoney(worst.copy_out.cost),
    })) : el("p", { class: "more" }, t("leave.no_counts")));
}

function answerCard(item, now, before) {
  const facts = now.facts;
  const old = before.classes.find((c) => c.key === item.key);
  const uses = [...item.data_classes.map(dataClassName), ...new Set(item.holdings.map((h) => h.bucket).filter(Boolean))];
  const id = `class-${item.key}`;
  return el("article", { class: "class", "aria-labelledby": id },
    el("header", {}, el("h3", { id }, className(item)), uses.length ? el("p", { class: "uses" }, uses.slice(0, 8).join(" · "), uses.length > 8 ? ` · ${t("and_more", { count: formatNumber(uses.length - 8) })}` : "") : null),
    el("dl", { class: "answers" },
      storeCell(item, facts),
      ...["read", "cut"].map((q) => cell(q, minText(item.states[q].min), answerWords(q, item.states[q]), toneOf(q, item.states[q], facts), old ? minText(old.states[q].min) : null,
        coalitionLine(item.states[q], facts), homeNote(q, item, facts))),
      leaveCell(item, now.leave.get(item.key))),
    item.warnings.map((w) => el("p", { class: "note", lang: "en" }, w)));
}

// What it takes of others than the owner's own states, where these are in it.
function homeNote(question, item, facts) {
  const { coalitions } = item.states[question];
  const abroad = coalitions.filter((c) => !c.some((u) => facts.home.includes(u)));
  if (abroad.length === coalitions.length) return null;
  const min = abroad.length ? Math.min(...abroad.map((c) => c.length)) : null;
  if (min === item.states[question].min) return null;
  return el("p", { class: "note" }, min === null ? t("home.only") : tn("home.beside", min));
}

// What a reader must know before the first number.
function caveats(now) {
  const { facts, assumed } = page.report;
  const out = [];
  if (!facts.gateways.length) out.push(el("p", { class: "note" }, t("caveat.gateways")));
  if (!facts.keyholders.length) out.push(el("p", { class: "note" }, t("caveat.keys")));
  if (assumed.length) out.push(el("p", { class: "note" }, tn("caveat.assumed", assumed.length), " ", el("button", { type: "button", id: "to-assumed", onclick: () => by("assumed").scrollIntoView() }, t("caveat.show"))));
  return now.classes.length ? out : [];
}

function renderAnswers(now, before) {
  replace(by("answers-body"), caveats(now), now.classes.map((item) => answerCard(item, now, before)),
    now.classes.length ? null : el("p", { class: "empty" }, t("answers.none")),
    now.left_out > 0 ? el("p", { class: "note" }, tn("answers.left_out", now.left_out)) : null);
}

function transferRow(name, transfer) {
  const cell = (value, text, ...more) => el("td", { "data-value": String(value) }, text, more);
  return el("tr", { "data-way": name }, el("th", { scope: "row" }, t(name)), cell(Math.round(transfer.bytes), formatBytes(transfer.bytes)), transfer.seconds.map((s) => cell(s, formatDuration(s))),
    cell(transfer.cost, formatMoney(transfer.cost), transfer.unpriced.length ? el("span", { class: "more" }, ` ${t("ban.unpriced", { who: transfer.unpriced.join(", ") })}`) : null));
}

// What a class loses, whether or not anything is counted there.
function banOfClass(item, now) {
  const confirmed = item.confirmed || item.islands;
  const left = confirmed.filter((id) => !now.lost.has(`island/${id}`)).length;
  const [, k] = item.code;
  const then = left < k ? t("ban.then.gone") : left === confirmed.length ? t("ban.then.untouched") : left === k ? t("ban.then.bare") : tn("ban.then.tolerates", left - k);
  return el("tr", {}, el("th", { scope: "row" }, className(item)), [confirmed.length - left, left, k].map((n) => el("td", {}, formatNumber(n))), el("td", {}, left < k ? el("b", {}, then) : then));
}

// heads: keys of texts, or texts in a list.
function tableIn(label, heads, rows) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, el("table", { class: "plain" },
    el("thead", {}, el("tr", {}, heads.map((h) => el("th", { scope: "col" }, Array.isArray(h) ? h[0] : t(h))))), el("tbody", {}, rows)));
}

function renderBan(now) {
  const ban = now.ban;
  by("ban").hidden = !ban;
  if (!ban) return replace(by("ban-body"));
  const who = formatList(now.targets.map((x) => (x.kind === "provider" ? providerName(x.id) : x.kind === "island" ? x.id : `${stateName(x.id, now.facts)} (${x.id})`)));
  const figure = (name, raw, value, more, bad) => el("div", { class: bad ? "answer alone" : "answer plain", "data-figure": name, "data-value": raw.join(" ") }, el("dt", {}, t(`ban.${name}`)), el("dd", {}, el("p", { class: "figure" }, el("span", { class: "number" }, value)), el("p", { class: "words" }, more)));
  const cli = (page.report.bans || []).find((b) => now.targets.length === 1 && b.target === now.targets[0].id && b.kind === now.targets[0].kind);
  const counted = now.holdings.length > 0;
  return replace(by("ban-body"),
    el("p", { class: "lead" }, t("ban.lead", { who }), " ", ban.islands.length ? tn("ban.islands", ban.islands.length, { list: ban.islands.join(", ") }) : t("ban.no_island")),
    ban.keys_lost ? el("p", { class: "note strong" }, t("ban.keys_lost")) : null,
    ban.read_only ? el("p", { class: "note strong" }, t("ban.read_only")) : null,
    ban.gateways_lost ? el("p", { class: "note strong" }, t("ban.gateways_lost")) : null,
    counted ? el("dl", { class: "answers" },
      figure("unavailable", [ban.unavailable_objects, ban.unavailable_bytes], formatNumber(ban.unavailable_objects), formatBytes(ban.unavailable_bytes), ban.unavailable_objects > 0),
      figure("degraded", [ban.degraded_objects, ban.degraded_bytes], formatNumber(ban.degraded_objects), formatBytes(ban.degraded_bytes), false),
      figure("copy", [Math.round(ban.copy_out.bytes), ban.copy_out.cost], formatBytes(ban.copy_out.bytes), formatMoney(ban.copy_out.cost), false),
      figure("rebuild", [Math.round(ban.rebuild_around.bytes), ban.rebuild_around.cost], formatBytes(ban.rebuild_around.bytes), formatMoney(ban.rebuild_around.cost), false)) : null,
    tableIn(t("ban.classes"), ["ban.class", "ban.lost", "ban.left", "ban.needed", "ban.then"], now.classes.map((item) => banOfClass(item, now))),
    counted ? [tableIn(t("ban.table"), ["ban.way", "ban.bytes", ...now.bandwidths.map((b) => [t("ban.time", { bandwidth: formatBandwidth(b) })]), "ban.cost"], [transferRow("ban.copy_out", ban.copy_out), transferRow("ban.rebuild_around", ban.rebuild_around)]),
      ban.rebuild_around.bytes === 0 && ban.unavailable_objects > 0 ? el("p", { class: "note" }, t("ban.no_rebuild")) : null,
      el("p", { class: "more" }, t("ban.explained"))] : el("p", { class: "more" }, t("leave.no_counts")),
    !cli && now.targets.length === 1 ? el("p", { class: "more" }, t("ban.ask"), " ", el("code", {}, `archipel exposure … --ban ${now.targets[0].kind}:${now.targets[0].id}`)) : null,
    cli && cli.advice.length ? [el("h3", {}, t("ban.advice")), el("ul", { lang: "en" }, cli.advice.map((a) => el("li", {}, a)))] : null);
}
