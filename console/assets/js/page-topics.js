import { h } from './dom.js';
import { get } from './api.js';
import { app } from './app.js';
import { num } from './format.js';
import { card, empty, link, offsetPager } from './ui.js';

const sum = (o) => Object.values(o || {}).reduce((a, b) => a + b, 0);
const limit = 50;

export default {
  title: () => 'Topics',
  every: 3000,
  load: (p, signal) => (app.about.offline ? { topics: [], total: 0, offline: true } : get('topics', { filter: p.filter, offset: p.offset, limit }, signal)),
  rows: (d) => d.topics,
  keys(e, d, row) {
    if (e.key === 'Enter' && row) return app.go('tree', { topic: row.name }), true;
  },
  view(d, p) {
    return [
      h('div', { class: 'filters' }, filterField(p.filter, 'Filter topics', (filter) => app.go('topics', { filter }))),
      card(null, d.topics.length ? [h('div', { class: 'scroll' }, h('table', { class: 'fold-rows' },
        h('thead', {}, h('tr', {}, ['Topic', 'Type'].map((t) => h('th', {}, t)), ['Subscribers', 'Accepted', 'Rejected', 'No subscriber', 'Held back', 'Scheduled'].map((t) => h('th', { class: 'num' }, t)), h('th', {}, ''))),
        h('tbody', {}, d.topics.map((t, i) => h('tr', { key: t.name, class: 'link' + (i === app.cursor ? ' at' : ''), onclick: (e) => e.target.closest('a') || app.go('tree', { topic: t.name }) },
          h('td', { class: 'wide break' }, h('a', { class: 'cover', href: link('tree', { topic: t.name }) }, t.name)),
          h('td', { class: 'wide mono dim break' }, t.type),
          cell('subscribers', num(t.subscribers)), cell('accepted', num(t.accepted)), cell('rejected', num(sum(t.rejected)), sum(t.rejected) > 0 && 'red'),
          cell('no subscriber', num(t.unrouted)), cell('held back', num(t.waiting), t.waiting > 0 && 'amber'), cell('scheduled', num(t.scheduled?.waiting)),
          h('td', { class: 'nowrap' }, h('a', { href: link('letters', { query: `topic:${quote(t.name)}` }) }, 'Letters'))))))),
        offsetPager({ shown: d.topics.length, total: d.total, limit, what: 'topic' })]
        : empty(p.filter ? 'No topic has that in its name' : 'No topics', d.offline ? 'There is no runtime here: this is a look at its letters.' : p.filter ? '' : 'The program has not opened a topic yet.', { icon: 'topics' })),
    ];
  },
};

const cell = (name, value, cls) => h('td', { class: 'num ' + (cls || ''), 'data-name': name }, value);

// quote writes a value of a query.
export const quote = (s) => (/^[\w.\-/]+$/.test(s) ? s : JSON.stringify(s));

// filterField filters a list while it is typed.
let timer = 0;
export function filterField(value, label, set) {
  return h('input', {
    type: 'text', id: 'filter', value: value || '', placeholder: label + '…', 'aria-label': label, spellcheck: 'false', autocomplete: 'off',
    oninput: (e) => {
      const text = e.target.value;
      clearTimeout(timer);
      timer = setTimeout(() => set(text.trim()), 250);
    },
    onkeydown: (e) => e.key === 'Escape' && e.target.blur(),
  });
}
