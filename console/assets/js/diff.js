import { h } from './dom.js';

// diffTable shows where two documents differ.
export function diffTable(lines, [old, now] = ['Before', 'After']) {
  return h('div', { class: 'scroll' }, h('table', { class: 'diff' }, h('thead', {}, h('tr', {}, h('th', {}, 'Place'), h('th', {}, old), h('th', {}, now))),
    h('tbody', {}, lines.map((d) => h('tr', { key: d.path }, h('td', { class: 'path' }, d.path), h('td', { class: d.old ? 'old' : 'faint' }, d.old || 'not there'), h('td', { class: d.new ? 'new' : 'faint' }, d.new || 'not there'))))));
}
