// Making elements. Text always goes in as text, never as markup.

const SVG_SPACE = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG_SPACE, tag), attributes, children);
}

// Puts new children in place of the old ones; the focus returns to the element with the same id or data-key.
function replace(parent, ...children) {
  const active = document.activeElement;
  const inside = active && parent.contains(active) ? active : null;
  const mark = inside && (inside.id ? `#${CSS.escape(inside.id)}` : inside.dataset.key ? `[data-key="${CSS.escape(inside.dataset.key)}"]` : null);
  parent.replaceChildren();
  fill(parent, {}, children);
  if (mark) parent.querySelector(mark)?.focus({ preventScroll: true });
}

function by(id) {
  return document.getElementById(id);
}
