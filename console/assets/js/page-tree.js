import { h } from './dom.js';
import { get, post } from './api.js';
import { app, may } from './app.js';
import { num, span } from './format.js';
import { button, by, card, confirmCount, dialog, empty, facts, failed, host, link, offsetPager, plain, problem, tag, toast, whoWhy, word } from './ui.js';
import { filterField, quote } from './page-topics.js';

const limit = 100;
const sorts = [['tree', 'Order of the tree'], ['trouble', 'Trouble first'], ['depth', 'Deepest first'], ['age', 'Oldest event first'], ['restarts', 'Most restarts'], ['failures', 'Most failures'], ['dead', 'Most dead letters']];

export default {
  title: () => 'Supervision tree',
  every: 2000,
  wants: (e) => e.kind === 'subscriber',
  load: (p, signal) => (app.about.offline ? { subscribers: [], total: 0, states: {}, offline: true } : get('subscribers', { ...p, limit }, signal)),
  rows: (d) => d.subscribers,
  keys(e, d, row) {
    if (!row) return;
    if (e.key === 'p' && may('control')) return toggle(row), true;
    if (e.key === 'Enter') return details(row), true;
  },
  view(d, p) {
    const set = (change) => app.go('tree', { ...p, offset: '', ...change });
    const states = Object.entries(d.states).sort((a, b) => b[1] - a[1]);
    const all = states.reduce((n, [, k]) => n + k, 0);
    return [
      h('div', { class: 'filters' },
        filterField(p.filter, 'Filter by topic, name or group', (filter) => app.go('tree', { ...p, offset: '', filter }, true)),
        h('label', { class: 'row' }, h('span', { class: 'visually-hidden' }, 'Sort'), h('select', { value: p.sort || 'tree', onchange: (e) => set({ sort: e.target.value === 'tree' ? '' : e.target.value }) }, sorts.map(([v, t]) => h('option', { value: v }, t)))),
        [['topic', p.topic], ['subscriber', p.name, 'name'], ['group', p.group]].map(([what, value, k]) => value ? h('a', { class: 'tag plain', href: link('tree', { ...p, [k || what]: '' }), title: 'Do not filter by ' + what }, `${what} ${value} ×`) : null)),
      states.length > 1 || p.state ? h('div', { class: 'tabs', role: 'navigation', 'aria-label': 'States' },
        h('a', { href: link('tree', { ...p, state: '', offset: '' }), 'aria-current': p.state ? null : 'true' }, 'All', h('span', { class: 'n' }, num(all))),
        states.map(([s, n]) => h('a', { key: s, href: link('tree', { ...p, state: s, offset: '' }), 'aria-current': p.state === s ? 'true' : null }, word(s), h('span', { class: 'n' }, num(n))))) : null,
      card(null, d.subscribers.length ? [table(d, p), offsetPager({ shown: d.subscribers.length, total: d.total, limit, what: 'subscriber' })]
        : empty(all ? 'None in that state' : 'No subscribers', d.offline ? 'There is no runtime here: this is a look at its letters.' : all || p.filter || p.topic ? 'Nothing fits the filters.' : 'Nobody has subscribed to a topic yet.', { icon: 'tree' })),
    ];
  },
};

function table(d, p) {
  const inOrder = !p.sort;
  const rows = [];
  let at = null;
  d.subscribers.forEach((s, i) => {
    const path = '/' + s.path.join('/');
    if (inOrder && path !== at) {
      at = path;
      rows.push(h('tr', { class: 'tree-group', key: 'g' + path }, h('td', { colspan: may('control') ? 9 : 8, class: 'wide' }, s.path.map((n, j) => [j ? h('span', { class: 'arm', 'aria-hidden': 'true' }, '›') : null, n]), ' ', h('span', { class: 'faint' }, s.strategy.replaceAll('_', ' ')))));
    }
    rows.push(row(s, i, inOrder));
  });
  return h('div', { class: 'scroll' }, h('table', { class: 'fold-rows' },
    h('thead', {}, h('tr', {}, h('th', {}, 'Subscriber'), h('th', {}, 'State'), ['Depth', 'Oldest', 'Handled', 'Failed', 'Restarts', 'Dead'].map((t) => h('th', { class: 'num' }, t)), may('control') ? h('th', {}, h('span', { class: 'visually-hidden' }, 'Actions')) : null)),
    h('tbody', {}, rows)));
}

const depthOf = (c) => c.queued + c.in_flight + c.retry_wait;

function row(s, i, inOrder) {
  const c = s.counts, deep = depthOf(c), share = s.capacity ? Math.min(100, (deep / s.capacity) * 100) : 0;
  return h('tr', { key: s.topic + '\n' + s.name, class: 'link' + (i === app.cursor ? ' at' : ''), onclick: (e) => e.target.closest('a, button') || details(s) },
    h('td', { class: 'break' }, h('button', { type: 'button', class: 'btn bare small cover-btn', onclick: () => details(s) }, s.name), h('span', { class: 'second' }, ' on ', s.topic, inOrder ? '' : ` · ${s.path.slice(1).join(' / ')}`)),
    h('td', {}, tag(s.state)),
    h('td', { class: 'num', 'data-name': 'depth' }, h('span', { class: 'depth', title: `${num(deep)} of ${num(s.capacity)}, ${s.overflow} when full` }, num(deep), h('i', { class: share >= 100 ? 'full' : '', css: { '--fill': share + '%' } }))),
    h('td', { class: 'num', 'data-name': 'oldest' }, s.oldest_ns ? span(s.oldest_ns) : '–'),
    h('td', { class: 'num off' }, num(c.done)), h('td', { class: 'num ' + (c.failures ? 'amber' : ''), 'data-name': 'failed' }, num(c.failures)),
    h('td', { class: 'num', 'data-name': 'restarts' }, num(c.restarts)), h('td', { class: 'num', 'data-name': 'dead' }, c.dead_lettered ? h('a', { class: 'red', href: link('letters', { query: `sub:${quote(s.name)} topic:${quote(s.topic)}` }) }, num(c.dead_lettered)) : '0'),
    may('control') ? h('td', { class: 'nowrap wide' }, controls(s)) : null);
}

export const pausable = (s) => s.state !== 'paused';

// controls are what can be done with a subscriber.
export function controls(s) {
  if (!may('control')) return null;
  const held = ['paused', 'escalated', 'cooldown'].includes(s.state);
  return h('span', { class: 'row end' }, button(held ? 'Resume' : 'Pause', () => control(held ? 'resume' : 'pause', s), { kind: 'small' }), button('Restart', () => control('restart', s), { kind: 'small' }));
}
const toggle = (s) => control(['paused', 'escalated', 'cooldown'].includes(s.state) ? 'resume' : 'pause', s);

const about = {
  pause: 'It finishes the event in hand and takes no other. Events wait in its mailbox; when that is full, what its overflow policy says holds.',
  resume: 'It goes on with the events that wait.',
  restart: 'Its instance is replaced by a new one; its mailbox stays.',
};

export function control(what, s, after) {
  const state = { why: '', busy: false, err: null };
  const Verb = what[0].toUpperCase() + what.slice(1);
  dialog({
    title: `${Verb} ${s.name}`, sub: `On topic ${s.topic} · ${host()}`,
    submit: async (d) => {
      state.busy = true;
      state.err = null;
      d.update();
      try {
        await post('subscriber/' + what, { by: by(state), topic: s.topic, subscriber: s.name });
        d.close();
        toast(`${s.name}: ${what === 'pause' ? 'paused' : what === 'resume' ? 'resumed' : 'restarted'}`);
        (after || app.reload)();
      } catch (err) {
        state.busy = false;
        state.err = err;
        d.update();
      }
    },
    body: () => [h('p', {}, about[what]), whoWhy(state), state.err ? problem(state.err) : null],
    actions: (d) => [button('Cancel', d.close), button(Verb, null, { kind: 'main', type: 'submit', disabled: state.busy })],
  });
}

const attempts = (n) => (n < 0 ? 'without limit' : String(n));

function details(s) {
  const c = s.counts, r = s.retry, t = s.restart;
  dialog({
    title: s.name, sub: `On topic ${s.topic} · ${s.path.join(' › ')}`, wide: true,
    body: () => [
      h('div', { class: 'row wrap' }, tag(s.state), s.busy_ns ? h('span', { class: 'dim' }, `with the event in hand for ${span(s.busy_ns)}`) : null),
      h('div', { class: 'thirds' },
        facts([['Queued', num(c.queued)], ['In hand', num(c.in_flight)], ['Waits to retry', num(c.retry_wait)], ['Capacity', num(s.capacity)], ['When full', s.overflow], ['Oldest', s.oldest_ns ? span(s.oldest_ns) : '–'], ['Ordering', s.ordering]], 'wide'),
        facts([['Deliveries', num(c.deliveries)], ['Handled', num(c.done)], ['Failed attempts', num(c.failures)], ['Retries', num(c.retries)], ['Restarts', num(c.restarts)], ['Dead letters', num(c.dead_lettered)], ['Dropped', num(Object.values(c.dropped || {}).reduce((a, b) => a + b, 0))], ['Abandoned', num(c.abandoned)]], 'wide'),
        facts([['Attempts', attempts(r.max_attempts)], ['Backoff', `${span(r.base_delay_ns)} to ${span(r.max_delay_ns)}`], ['Restart', t.type.replaceAll('_', ' ')], ['Restarts allowed', t.max_restarts < 0 ? attempts(t.max_restarts) : `${t.max_restarts} in ${span(t.window_ns)}`], ['Then', t.on_exceed], ['Time limit', s.timeout_ns ? span(s.timeout_ns) : 'none'], ['Supervision', s.strategy.replaceAll('_', ' ')]], 'wide')),
    ],
    actions: (d) => [h('a', { class: 'btn', href: link('letters', { query: `sub:${quote(s.name)} topic:${quote(s.topic)}` }), onclick: d.close }, 'Its letters'), h('span', { class: 'grow' }), controls(s), button('Close', d.close, { kind: 'main' })],
  });
}
