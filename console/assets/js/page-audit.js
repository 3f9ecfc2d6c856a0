import { h } from './dom.js';
import { get } from './api.js';
import { app } from './app.js';
import { num, when } from './format.js';
import { card, empty, link, pager, plain } from './ui.js';

const field = (p, name, label, set) => h('input', { type: 'text', name, value: p[name] || '', placeholder: label, 'aria-label': label, id: name === 'by' ? 'filter' : null, onkeydown: (e) => e.key === 'Enter' && set(name, e.target.value.trim()), onchange: (e) => set(name, e.target.value.trim()) });

export default {
  title: () => 'Audit',
  every: 10000,
  wants: (e) => e.kind === 'audit' || e.kind === 'operation',
  load: (p, signal) => get('audit', p, signal),
  rows: (d) => d.entries,
  keys(e, d, row) {
    if (e.key === 'Enter' && row?.operation) return app.go('operation', { id: row.operation }), true;
  },
  view(d, p) {
    const set = (name, value) => value !== (p[name] || '') && app.go('audit', { ...p, after: '', [name]: value });
    return [
      h('div', { class: 'filters' }, field(p, 'by', 'By whom', set), field(p, 'action', 'What, such as redrive', set), field(p, 'object', 'To what: a letter, group, operation or subscriber', set)),
      card(null, d.entries.length ? [h('div', { class: 'scroll' }, h('table', { class: 'fold-rows' },
        h('thead', {}, h('tr', {}, h('th', {}, 'When'), h('th', {}, 'Who'), h('th', {}, 'Did'), h('th', {}, 'To'), h('th', { class: 'num' }, 'Letters'), h('th', {}, 'Why'))),
        h('tbody', {}, d.entries.map((e, i) => h('tr', { key: e.id, class: i === app.cursor ? 'at' : '' },
          h('td', {}, when(e.at)), h('td', { class: 'break' }, e.by), h('td', {}, plain(String(e.action).replaceAll('_', ' '), e.error ? 'red' : ''), e.error ? h('div', { class: 'problem' }, e.error) : null),
          h('td', { class: 'wide break' }, target(e)), h('td', { class: 'num', 'data-name': 'letters' }, num(e.count)), h('td', { class: 'wide break' }, e.why || '')))))),
        pager({ shown: d.entries.length, total: d.total, next: d.next, what: 'entry' })]
        : empty('Nothing has been done', p.by || p.action || p.object ? 'No entry fits.' : 'Whatever somebody does here or by the command line is recorded, with who, what and why. Entries are never changed or removed.', { icon: 'audit' })),
    ];
  },
};

function target(e) {
  const parts = [];
  if (e.object) parts.push(h('div', { class: 'mono' }, e.object));
  if (e.query) parts.push(h('div', { class: 'mono dim' }, e.query));
  if (e.operation && e.operation !== e.object) parts.push(h('div', {}, h('a', { class: 'mono', href: link('operation', { id: e.operation }) }, e.operation)));
  return parts;
}
