// What-if: switches that change the facts in the page, and only there. Every switch is a form control with a label.

function setBan(text, on) {
  const bans = page.changes.bans.filter((b) => b !== text);
  update({ bans: on ? [...bans, text] : bans });
}

function setIn(name, key, value) {
  const object = { ...page.changes[name] };
  if (value === null) delete object[key];
  else object[key] = value;
  update({ [name]: object });
}

function setDrop(party, on) {
  const drops = page.changes.drops.filter((d) => d !== party);
  update({ drops: on ? [...drops, party] : drops });
}

function targetName(target, facts) {
  if (target.kind === "island") return target.id;
  if (target.kind === "provider") return providerName(target.id);
  return `${target.id} · ${stateName(target.id, facts)}`;
}

function banSwitch(declared) {
  const groups = new Map();
  for (const target of banTargets(declared)) {
    if (!groups.has(target.kind)) groups.set(target.kind, []);
    groups.get(target.kind).push(target);
  }
  const chosen = page.changes.bans;
  const select = el("select", { id: "ban-select", onchange: (event) => event.target.value && setBan(event.target.value, true) },
    el("option", { value: "" }, t("switch.ban.choose")),
    [...groups].map(([kind, list]) => el("optgroup", { label: t(`kind.${kind}`) }, list.map((x) => el("option", { value: `${x.kind}:${x.id}`, disabled: chosen.includes(`${x.kind}:${x.id}`) }, targetName(x, declared))))));
  return el("fieldset", {}, el("legend", {}, t("switch.ban")), el("label", { class: "hidden", for: "ban-select" }, t("switch.ban.choose")), select,
    chosen.length ? el("ul", { class: "chips" }, chosen.map((b) => el("li", {}, el("button", { type: "button", "data-key": `unban-${b}`, "aria-label": t("switch.ban.lift", { who: targetName(targetOf(b), declared) }), onclick: () => setBan(b, false) }, targetName(targetOf(b), declared), el("span", { "aria-hidden": "true" }, " ×"))))) : null);
}

function blocSwitches(declared) {
  const reached = declared.blocs.filter((b) => partiesOf(declared).some((p) => p.edges.some((e) => b.states.includes(e.state))));
  if (!reached.length) return null;
  return el("fieldset", {}, el("legend", {}, t("switch.blocs")), reached.map((b) => {
    const on = b.id in page.changes.blocs ? page.changes.blocs[b.id] : b.enabled;
    const id = `bloc-${b.id}`;
    return el("label", { class: "check", for: id, title: b.states.join(", ") },
      el("input", { id, type: "checkbox", checked: on, onchange: (event) => setIn("blocs", b.id, event.target.checked === b.enabled ? null : event.target.checked) }),
      el("span", {}, b.id, b[language] && b[language] !== b.id ? el("span", { class: "more" }, ` ${b[language]}`) : null));
  }));
}

// "as declared", "moved to …", and for key holders and gateways "dropped".
function partySelect(kind, party, droppable) {
  const key = `${kind}/${party.id}`;
  const value = page.changes.drops.includes(key) ? "drop" : page.changes.moves[key] || "";
  const states = Object.keys(page.report.states).sort((a, b) => stateName(a, page.report.facts).localeCompare(stateName(b, page.report.facts), locale()));
  const change = (event) => {
    const chosen = event.target.value;
    const moves = { ...page.changes.moves };
    delete moves[key];
    if (chosen && chosen !== "drop") moves[key] = chosen;
    const drops = page.changes.drops.filter((d) => d !== key);
    update({ moves, drops: chosen === "drop" ? [...drops, key] : drops });
  };
  const selected = (v) => (v === value ? { value: v, selected: true } : { value: v });
  return el("select", { id: `party-${key}`, onchange: change },
    el("option", selected(""), t("switch.declared", { states: [...new Set(party.edges.map((e) => e.state))].join(" ") })),
    droppable ? el("option", selected("drop"), t("switch.dropped")) : null,
    el("optgroup", { label: t("switch.move") }, states.map((s) => el("option", selected(s), `${stateName(s, page.report.facts)} (${s})`))));
}

function partySwitches(kind, parties, droppable, more = () => null) {
  if (!parties.length) return null;
  return el("fieldset", {}, el("legend", {}, t(`switch.${kind}`)), parties.map((p) =>
    el("div", { class: "party" }, el("label", { for: `party-${kind}/${p.id}` }, p.id), partySelect(kind, p, droppable), more(p))));
}

function plaintextSwitch(gateway) {
  const on = gateway.id in page.changes.plaintext ? page.changes.plaintext[gateway.id] : gateway.plaintext;
  const id = `plaintext-${gateway.id}`;
  return el("label", { class: "check", for: id },
    el("input", { id, type: "checkbox", checked: on, onchange: (event) => setIn("plaintext", gateway.id, event.target.checked === gateway.plaintext ? null : event.target.checked) }),
    el("span", {}, t("switch.plaintext")));
}

function codeSwitch(now) {
  const islands = page.report.facts.islands.length;
  const most = Math.min(16, islands);
  const item = now.classes.find((c) => c.key === page.code_class) || now.classes[0];
  if (!item || most < 2) return null;
  const declared = page.before.classes.find((c) => c.key === item.key);
  const set = (n, k) => setIn("codes", item.key, n === declared.code[0] && k === declared.code[1] ? null : [n, k]);
  const [n, k] = item.code;
  // While a slider is held, it must stay the same element: the switches are drawn again when it is let go.
  const hold = (change) => (event) => {
    page.sliding = true;
    event.target.parentElement.querySelector("output").textContent = formatNumber(Number(event.target.value));
    change(Number(event.target.value));
  };
  const release = () => {
    page.sliding = false;
    render();
  };
  const slider = (name, value, min, max, change) => el("div", { class: "slider" },
    el("label", { for: `code-${name}` }, t(`switch.code.${name}`)),
    el("input", { id: `code-${name}`, type: "range", min, max, step: 1, value, "aria-valuetext": t(`switch.code.${name}.value`, { value }), oninput: hold(change), onchange: release }), el("output", { for: `code-${name}` }, formatNumber(value)));
  return el("fieldset", {}, el("legend", {}, t("switch.code")),
    el("div", { class: "party" }, el("label", { for: "code-class" }, t("switch.code.class")), el("select", { id: "code-class", onchange: (event) => { page.code_class = event.target.value; render(); } },
      now.classes.map((c) => el("option", { value: c.key, selected: c.key === item.key }, className(c))))),
    slider("n", n, 1, most, (v) => set(v, Math.min(k, v))), slider("k", k, 1, n, (v) => set(n, v)),
    el("p", { class: "more" }, t("switch.code.words", { lost: formatNumber(n - k), stretch: formatNumber(n / k, 2) })));
}

function renderSwitches(now) {
  if (page.sliding) return;
  const declared = page.report.facts;
  const count = countChanges(page.changes);
  replace(by("switches-body"), banSwitch(declared), blocSwitches(declared),
    partySwitches("keyholder", declared.keyholders, true), partySwitches("gateway", declared.gateways, true, plaintextSwitch),
    codeSwitch(now), declared.islands.length ? el("details", { id: "islands-details", open: page.islands_open, ontoggle: (event) => (page.islands_open = event.target.open) }, el("summary", { id: "islands-summary" }, t("switch.islands")), partySwitches("island", declared.islands, false)) : null);
  replace(by("changed"), count ? [el("span", { class: "mark", "aria-hidden": "true" }, "≠ "), tn("changed", count), " ", el("button", { type: "button", id: "reset", onclick: () => reset() }, t("reset"))] : t("unchanged"));
  by("changed").classList.toggle("active", count > 0);
}
