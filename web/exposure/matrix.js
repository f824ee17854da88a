// The coalition matrix: who (rows) can do what with which class (columns). R reads, C cuts, D degrades, – nothing; a letter, never colour alone.

const PAIRS_MAX = 2000;

function matrixRows(now) {
  const facts = now.facts;
  const first = now.classes[0];
  if (!first) return [];
  const lens = first.states.lens;
  const single = lens.units.filter((u) => !facts.blocs.some((b) => b.id === u));
  const rows = single.map((u) => ({ group: "single", id: u, units: [lens.index.get(u)], lens: "states" }));
  const all = lens.units;
  for (let i = 0; i < all.length && rows.length < PAIRS_MAX; ++i)
    for (let j = i + 1; j < all.length; ++j) rows.push({ group: "pair", id: `${all[i]} + ${all[j]}`, units: [i, j], lens: "states" });
  for (const bloc of facts.blocs) {
    const apart = bloc.enabled ? facts : actingForItself(facts, bloc.states);
    const seen = lensOf(apart, "states");
    const units = unitsOf(apart, seen, bloc.id);
    if (units.length) rows.push({ group: "bloc", id: bloc.id, units, lens: "states", enabled: bloc.enabled, facts: apart, seen });
  }
  first.providers.lens.units.forEach((u, i) => rows.push({ group: "provider", id: u, units: [i], lens: "providers" }));
  return rows;
}

// The facts when these states act for themselves: they are in nobody else's bloc.
function actingForItself(facts, states) {
  return { ...facts, blocs: facts.blocs.map((b) => (b.enabled ? { ...b, states: b.states.filter((s) => !states.includes(s)) } : b)) };
}

// The structure that a row's positions belong to.
function viewOf(now, row, item) {
  if (!row.facts || row.enabled) return item[row.lens];
  return { ...item.states, lens: row.seen, structure: structureOf(row.facts, item, row.seen, now.lost) };
}

// What a row can do with a class: "R", "RC", "D", …
function lettersOf(now, row, item, known) {
  const key = row.facts && !row.enabled ? `${row.id}/${item.key}` : `${row.lens}/${item.key}`;
  if (!known.has(key)) known.set(key, ["read", "cut", "degrade"].map((q) => prepare(viewOf(now, row, item).structure, q)));
  const [r, c, d] = known.get(key).map((p) => p.test(unionOf(p, row.units)));
  return (r ? "R" : "") + (c ? "C" : d ? "D" : "");
}

const LETTER_WORDS = { R: "reads", C: "cuts", D: "degrades" };

function letterWords(letters) {
  return letters ? formatList([...letters].map((l) => t(LETTER_WORDS[l]))) : t("nothing");
}

function renderMatrix(now) {
  const known = new Map();
  const rows = matrixRows(now).map((row) => ({ ...row, cells: now.classes.map((item) => lettersOf(now, row, item, known)) }));
  const singles = new Map(rows.filter((r) => r.units.length === 1 && !(r.facts && !r.enabled)).map((r) => [`${r.lens}/${r.units[0]}`, r.cells]));
  const pairs = rows.filter((r) => r.group === "pair");
  // A pair that can do no more than one of the two, or than both side by side, says nothing new.
  const fresh = (row) => row.cells.some((letters, c) => {
    const apart = row.units.flatMap((u) => [...(singles.get(`states/${u}`) || [])[c] || ""]);
    return [...letters].some((l) => !apart.includes(l) && !(l === "D" && apart.includes("C")));
  });
  const shown = rows.filter((r) => r.group !== "pair" || page.all_pairs || fresh(r));
  const hidden = pairs.length - shown.filter((r) => r.group === "pair").length;
  const groups = ["single", "bloc", "pair", "provider"].map((g) => [g, shown.filter((r) => r.group === g)]).filter(([, list]) => list.length);
  replace(by("matrix-body"),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("matrix.title") },
      el("table", { class: "matrix", id: "matrix", onkeydown: moveInMatrix },
        el("caption", { class: "hidden" }, t("matrix.caption")),
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("matrix.who")), now.classes.map((c) => el("th", { scope: "col" }, shortName(c))))),
        groups.map(([group, list]) => el("tbody", {}, el("tr", { class: "group" }, el("th", { scope: "rowgroup", colspan: now.classes.length + 1 }, t(`matrix.${group}`))),
          list.map((row) => matrixRow(row, now)))))),
    pairs.length ? el("p", { class: "more" }, page.all_pairs || hidden ? [hidden ? tn("matrix.hidden", hidden) : t("matrix.all"), " ", el("button", { type: "button", id: "all-pairs", onclick: () => { page.all_pairs = !page.all_pairs; render(); } }, t(page.all_pairs ? "matrix.fewer" : "matrix.show"))] : null) : null,
    el("p", { class: "legend" }, ["R", "C", "D", "–"].map((l) => el("span", {}, el("b", { class: `letter letter-${l === "–" ? "none" : l}` }, l), " ", t(l === "–" ? "nothing" : LETTER_WORDS[l])))));
  const first = by("matrix").querySelector("button");
  if (first && !by("matrix").querySelector('button[tabindex="0"]')) first.tabIndex = 0;
  explainCell(now);
}

function matrixRow(row, now) {
  const name = row.group === "provider" ? providerName(row.id) : row.group === "pair" ? row.id : stateName(row.id, now.facts);
  const home = row.group === "single" && now.facts.home.includes(row.id);
  return el("tr", {},
    el("th", { scope: "row" }, row.group === "provider" || row.group === "pair" ? name : [el("b", {}, row.id), " ", el("span", { class: "more" }, name, home ? `, ${t("home")}` : "", row.group === "bloc" && row.enabled ? `, ${t("matrix.counted")}` : "")]),
    row.cells.map((letters, c) => {
      const key = `${row.lens}|${row.id}|${now.classes[c].key}`;
      const chosen = page.cell === key;
      return el("td", {}, el("button", {
        type: "button", class: `cell ${chosen ? "chosen" : ""}`, tabindex: chosen ? "0" : "-1", "data-key": key, "aria-pressed": chosen ? "true" : "false",
        "aria-label": t("matrix.cell", { who: name, class: className(now.classes[c]), what: letterWords(letters) }), onclick: () => { page.cell = chosen ? null : key; renderMatrix(page.now); by("explanation").scrollIntoView({ block: "nearest" }); },
      }, letters ? [...letters].map((l) => el("b", { class: `letter letter-${l}` }, l)) : el("span", { class: "letter letter-none" }, "–")));
    }));
}

// Arrow keys walk over the cells; one of them is in the order of Tab.
function moveInMatrix(event) {
  const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  const button = event.target.closest("button");
  if (!button || !steps[event.key]) return;
  const rows = [...by("matrix").querySelectorAll("tbody tr:not(.group)")].map((tr) => [...tr.querySelectorAll("button")]);
  const row = rows.findIndex((r) => r.includes(button));
  const [down, right] = steps[event.key];
  const next = rows[row + down] && rows[row + down][rows[row].indexOf(button) + right];
  if (!next) return;
  event.preventDefault();
  button.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function edgeWords(edge) {
  return `${edge.state} ${t("by")} ${t(`basis.${edge.basis}`)} (${levelName(edge.level)})`;
}

// Which shards, keys and gateways the chosen coalition reaches, by which edges, and what it would need.
function explainCell(now) {
  const parts = (page.cell || "").split("|");
  const row = page.cell && matrixRows(now).find((r) => r.lens === parts[0] && r.id === parts[1]);
  const item = row && now.classes.find((c) => c.key === parts[2]);
  if (!item) return replace(by("explanation"), el("p", { class: "empty" }, t("explain.hint")));
  const view = viewOf(now, row, item);
  const names = row.units.map((u) => view.lens.units[u]);
  const all = [...partiesOf(now.facts)];
  const via = (id) => {
    const party = all.find((p) => p.id === id);
    if (row.lens === "providers") return id;
    const edges = party.edges.filter((e) => unitsOfState(row.facts || now.facts, e.state).some((u) => names.includes(u)));
    return `${id}: ${edges.map(edgeWords).join("; ")}`;
  };
  const questions = ["read", "cut"].map((question) => {
    const yes = holds(view.structure, question, row.units);
    return el("section", { class: yes ? "verdict yes" : "verdict no" },
      el("h4", {}, t(`explain.${question}.${yes ? "yes" : "no"}`)),
      el("ul", {}, explain(view.structure, question, row.units).filter((p) => p.of > 0 || p.full).map((p) => el("li", {},
        t(`explain.${p.part}`, { count: formatNumber(p.reached.length), of: formatNumber(p.of), need: formatNumber(Math.max(0, p.need)) }), p.full ? el("b", {}, ` ${t("explain.enough")}`) : ` ${t("explain.short")}`,
        p.reached.length ? el("ul", {}, p.reached.map((id) => el("li", {}, via(id)))) : null))));
  });
  return replace(by("explanation"), el("h3", {}, t("explain.title", { who: row.group === "provider" ? providerName(row.id) : formatList(names.map((n) => (stateName(n, now.facts) === n ? n : `${stateName(n, now.facts)} (${n})`))), class: className(item) })),
    minimalNote(item[row.lens], names, now), el("div", { class: "verdicts" }, questions));
}

// What a smaller part of the coalition could do already.
function minimalNote(view, names, now) {
  const notes = ["read", "cut"].flatMap((question) => {
    const inside = view[question].coalitions.filter((c) => c.length < names.length && c.every((u) => names.includes(u)));
    return inside.length ? [el("p", { class: "more" }, t(`explain.${question}.smaller`), " ", inside.slice(0, 3).flatMap((c, i) => [i ? `, ` : null, coalitionOf(c, now.facts)]))] : [];
  });
  return notes.length ? notes : null;
}
