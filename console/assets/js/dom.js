// Elements from data. Text is only ever set as text: what events and handlers say
// is hostile, and nothing here turns a string into markup.

const SVG = 'http://www.w3.org/2000/svg';
const svgTags = new Set(['svg', 'path', 'rect', 'circle', 'line', 'g']);

// h makes an element. Attributes: class, on<event> for listeners, key for morph,
// keep for elements whose inside belongs to somebody else, css for custom
// properties, others as they are; null, undefined and false leave one out.
export function h(tag, attrs, ...children) {
  const node = svgTags.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attrs || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) listen(node, name.slice(2), value);
    else if (name === 'key') node.$key = String(value);
    else if (name === 'keep') node.$keep = true;
    else if (name === 'mount') node.$mount = value;
    else if (name === 'css') for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else if (name === 'value' || name === 'checked' || name === 'indeterminate') {
      node[name] = value;
      if (name === 'value' && tag === 'input') node.$value = value;
    } else node.setAttribute(name, value === true ? '' : String(value));
  }
  add(node, children);
  if (tag === 'select' && attrs && attrs.value !== undefined) node.value = attrs.value;
  if (tag === 'textarea' && attrs && attrs.value !== undefined) node.value = attrs.value;
  return node;
}

function add(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) add(node, child);
    else node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

// Listeners go through one function for each element, so that morph can replace
// them without knowing them.
function listen(node, type, fn) {
  if (!node.$on) node.$on = {};
  if (!(type in node.$on)) node.addEventListener(type, dispatch);
  node.$on[type] = fn;
}
function dispatch(event) {
  const fn = this.$on && this.$on[event.type];
  if (fn) return fn.call(this, event);
}

// morph changes what is in `into` to be like the new nodes, and keeps elements that
// are there already, with their focus, scroll and open state.
export function morph(into, ...fresh) {
  const holder = document.createDocumentFragment();
  add(holder, fresh);
  children(into, holder);
}

function same(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.$key === b.$key;
}

function children(old, now) {
  const keyed = new Map();
  for (const node of old.childNodes) if (node.$key !== undefined) keyed.set(node.$key, node);
  let at = old.firstChild;
  for (const next of [...now.childNodes]) {
    let have = at;
    if (next.$key !== undefined) {
      have = keyed.get(next.$key) || null;
      if (have && have !== at) old.insertBefore(have, at);
    }
    if (have && have.$key === undefined && next.$key === undefined ? same(have, next) : have && same(have, next)) {
      at = have.nextSibling;
      element(have, next);
    } else {
      old.insertBefore(next, at);
      mounted(next);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function element(old, now) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== now.nodeValue) old.nodeValue = now.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!now.hasAttribute(name) && !(name === 'open' && (old.nodeName === 'DETAILS' || old.nodeName === 'DIALOG')) && !(name === 'style' && old.$keep)) old.removeAttribute(name);
  }
  for (const { name, value } of now.attributes) {
    if (name === 'style') continue;
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (now.style && now.style.length && !old.$keep) {
    for (let i = 0; i < now.style.length; i++) {
      const p = now.style[i];
      if (old.style.getPropertyValue(p) !== now.style.getPropertyValue(p)) old.style.setProperty(p, now.style.getPropertyValue(p));
    }
  }
  for (const type of Object.keys(old.$on || {})) if (!now.$on || !now.$on[type]) old.$on[type] = null;
  for (const [type, fn] of Object.entries(now.$on || {})) listen(old, type, fn);
  if (now.$keep) {
    old.$mount = now.$mount;
    mounted(old);
    return;
  }
  switch (old.nodeName) {
    case 'INPUT':
      if (old.type === 'checkbox' || old.type === 'radio') {
        old.checked = now.checked;
        old.indeterminate = now.indeterminate;
      } else if (old.$value !== now.$value) {
        old.value = now.value; // the page changed it; otherwise it is the user's
      }
      old.$value = now.$value;
      return;
    case 'TEXTAREA':
      return;
    case 'SELECT':
      children(old, now);
      if (document.activeElement !== old) old.value = now.value;
      return;
  }
  children(old, now);
}

// mounted tells elements that have asked that they are in the page.
function mounted(node) {
  if (node.$mount) {
    const fn = node.$mount;
    queueMicrotask(() => fn(node));
  }
  if (!node.$keep) for (const child of node.children || []) mounted(child);
}

export const icon = (...paths) => h('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, paths.map((d) => h('path', { d })));

export const icons = {
  overview: () => icon('M3 13h4l3-8 4 14 3-6h4'),
  tree: () => icon('M12 4v5M12 9H6v5M12 9h6v5', 'M9.5 2.500h5v3h-5zM3.500 14h5v4h-5zM15.500 14h5v4h-5z'),
  topics: () => icon('M4 7h16M4 12h10M4 17h13'),
  groups: () => icon('M12 3l9 5-9 5-9-5z', 'M3 12.500l9 5 9-5M3 17l9 5 9-5'),
  letters: () => icon('M3.500 6h17v12h-17z', 'M3.500 7l8.500 6 8.500-6'),
  operations: () => icon('M4 12a8 8 0 0 1 14-5.300L20 9', 'M20 4v5h-5', 'M20 12a8 8 0 0 1-14 5.300L4 15', 'M4 20v-5h5'),
  audit: () => icon('M6 3h9l4 4v14H6z', 'M9 12h7M9 16h5'),
  search: () => icon('M11 4a7 7 0 1 1 0 14a7 7 0 0 1 0-14z', 'M16.500 16.500L21 21'),
  check: () => icon('M4 12.500l5 5L20 6.500'),
  gone: () => icon('M4 4l16 16', 'M12 3a9 9 0 1 1 0 18a9 9 0 0 1 0-18z'),
};
