// The flow: a class of objects, its shards, whose they are, and which states reach them; beside them key holders and gateways.

const FLOW_DASH = { place: "", operator: "7 3", parent: "2 3", staff: "1 5", supply: "10 3 2 3", network: "4 6", sanctions: "12 5" };

function flowParties(item, facts) {
  const shards = item.islands.map((id, i) => ({ kind: "island", party: facts.islands.find((p) => p.id === id), note: t("flow.shard", { number: i + 1 }) }));
  return [...shards, ...facts.keyholders.map((party) => ({ kind: "keyholder", party, note: t("flow.key") })),
    ...facts.gateways.map((party) => ({ kind: "gateway", party, note: t(party.plaintext ? "flow.gateway.plaintext" : "flow.gateway") }))];
}

function flowLayout(item, facts) {
  const parties = flowParties(item, facts);
  const providers = [...new Set(parties.map((p) => p.party.provider || ""))];
  const states = [...new Set(parties.flatMap((p) => p.party.edges.map((e) => e.state)))].sort(byText);
  const height = 56 + Math.max(parties.length * 46, states.length * 30, providers.length * 40);
  const place = (count, i) => 44 + ((height - 56) * (i + 0.5)) / count;
  return {
    height, parties: parties.map((p, i) => ({ ...p, y: place(parties.length, i) })),
    providers: new Map(providers.map((id, i) => [id, place(providers.length, i)])), states: new Map(states.map((id, i) => [id, place(states.length, i)])),
  };
}

const FLOW_X = { object: 8, party: 190, provider: 470, state: 730 };
const FLOW_WIDTH = { object: 120, party: 180, provider: 160, state: 140 };

function curve(x1, y1, x2, y2) {
  const bend = (x2 - x1) / 2;
  return `M${x1} ${y1.toFixed(1)}C${x1 + bend} ${y1.toFixed(1)} ${x2 - bend} ${y2.toFixed(1)} ${x2} ${y2.toFixed(1)}`;
}

function flowNode(column, id, y, label, note, words, classes) {
  const x = FLOW_X[column];
  const tall = note ? 36 : 26;
  return svg("g", { class: `node ${classes || ""}`, tabindex: "0", role: "img", "aria-label": words, "data-node": `${column}/${id}`, "data-key": `flow-${column}/${id}` },
    svg("rect", { x, y: y - tall / 2, width: FLOW_WIDTH[column], height: tall, rx: 3 }),
    svg("text", { x: x + 10, y: note ? y - 2 : y + 4 }, shorten(label, column)), note ? svg("text", { x: x + 10, y: y + 12, class: "small" }, note) : null);
}

function shorten(text, column) {
  const most = Math.floor((FLOW_WIDTH[column] - 14) / 7.1);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function partyWords(entry) {
  return `${entry.party.id}, ${entry.note}. ${entry.party.edges.map((e) => edgeFull(e)).join("; ")}`;
}

function edgeFull(edge) {
  const source = edge.source ? `, ${edge.source}` : "";
  return `${stateName(edge.state, page.now.facts)} (${edge.state}) ${t("by")} ${t(`basis.${edge.basis}`)}: ${t(`cap.${edge.cap}`)}; ${levelName(edge.level)}${source}${edge.date ? `, ${formatDate(edge.date)}` : ""}`;
}

function drawFlow(item, now) {
  const layout = flowLayout(item, now.facts);
  const edges = [];
  const nodes = [];
  const middle = 44 + (layout.height - 56) / 2;
  const right = (column) => FLOW_X[column] + FLOW_WIDTH[column];
  const line = (from, to, path, dash, words) => edges.push(svg("path", { d: path, class: "edge", "stroke-dasharray": dash || null, "data-from": from, "data-to": to }, words ? svg("title", {}, words) : null));
  nodes.push(flowNode("object", item.key, middle, shortName(item), t("flow.any", { k: item.code[1], n: item.code[0] }), `${className(item)}: ${t("flow.any", { k: item.code[1], n: item.code[0] })}`));
  for (const entry of layout.parties) {
    const { party, kind, y } = entry;
    const lost = now.lost.has(`${kind}/${party.id}`);
    const node = `party/${kind}.${party.id}`;
    line(`object/${item.key}`, node, curve(right("object"), middle, FLOW_X.party, y), kind === "island" ? "" : "1 4");
    nodes.push(flowNode("party", `${kind}.${party.id}`, y, party.id, lost ? `${entry.note} · ${t("banned")}` : entry.note, partyWords(entry), `${kind} ${lost ? "lost" : ""}`));
    const provider_y = layout.providers.get(party.provider || "");
    line(node, `provider/${party.provider || ""}`, curve(right("party"), y, FLOW_X.provider, provider_y), "");
    for (const edge of party.edges) {
      const words = `${party.id}: ${edgeFull(edge)}`;
      edges.push(svg("path", { d: curve(right("provider"), provider_y, FLOW_X.state, layout.states.get(edge.state)), class: `edge basis-${edge.basis}`, "stroke-dasharray": FLOW_DASH[edge.basis] || null, "data-from": node, "data-to": `state/${edge.state}`, "data-words": words }, svg("title", {}, words)));
    }
  }
  for (const [id, y] of layout.providers) {
    const words = id ? providerName(id) : t("flow.own");
    nodes.push(flowNode("provider", id, y, words, "", words));
  }
  for (const [id, y] of layout.states) {
    const reaching = layout.parties.flatMap((p) => p.party.edges.filter((e) => e.state === id).map((e) => `${p.party.id} ${t("by")} ${t(`basis.${e.basis}`)} (${levelName(e.level)})`));
    nodes.push(flowNode("state", id, y, `${id} ${stateName(id, now.facts)}`, "", `${stateName(id, now.facts)} (${id}): ${reaching.join("; ")}`));
  }
  const head = ["object", "party", "provider", "state"].map((c) => svg("text", { x: FLOW_X[c], y: 16, class: "head" }, t(`flow.${c}`)));
  return svg("svg", { viewBox: `0 0 880 ${layout.height}`, class: "flow", role: "group", "aria-label": t("flow.title") }, head, edges, nodes);
}

function renderFlow(now) {
  const item = now.classes.find((c) => c.key === page.flow_class) || now.classes[0];
  if (!item) return replace(by("flow-body"));
  const picture = drawFlow(item, now);
  const told = el("p", { id: "flow-told", class: "told", "aria-live": "polite" }, t("flow.hint"));
  const show = (event) => tellFlow(picture, told, event.target);
  picture.addEventListener("pointerover", show);
  picture.addEventListener("focusin", show);
  picture.addEventListener("pointerleave", () => tellFlow(picture, told, null));
  const used = [...new Set(flowParties(item, now.facts).flatMap((p) => p.party.edges.map((e) => e.basis)))];
  return replace(by("flow-body"),
    el("p", {}, el("label", { for: "flow-class" }, t("flow.choose")), " ", el("select", { id: "flow-class", onchange: (event) => { page.flow_class = event.target.value; renderFlow(page.now); } }, now.classes.map((c) => el("option", { value: c.key, selected: c.key === item.key }, className(c))))),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("flow.title") }, picture), told,
    el("p", { class: "legend" }, used.map((b) => el("span", {}, svg("svg", { viewBox: "0 0 34 8", class: "sample", "aria-hidden": "true" }, svg("path", { d: "M0 4H34", class: `edge basis-${b}`, "stroke-dasharray": FLOW_DASH[b] || null })), " ", t(`basis.${b}`)))));
}

// Lights up what hangs together with a node or an edge, and says it in words.
function tellFlow(picture, told, target) {
  const node = target && target.closest && target.closest("[data-node]");
  const edge = target && target.closest && target.closest("path.edge");
  const lit = new Set();
  if (node) {
    const id = node.dataset.node;
    for (const path of picture.querySelectorAll("path.edge")) if (path.dataset.from === id || path.dataset.to === id) lit.add(path);
    told.textContent = node.getAttribute("aria-label");
  } else if (edge) {
    lit.add(edge);
    told.textContent = edge.dataset.words || "";
  }
  if (!told.textContent) told.textContent = t("flow.hint");
  picture.classList.toggle("telling", lit.size > 0);
  for (const path of picture.querySelectorAll("path.edge")) path.classList.toggle("lit", lit.has(path));
}
