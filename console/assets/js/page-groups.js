import { h } from './dom.js';
import { get, post } from './api.js';
import { app, may } from './app.js';
import { ago, isSet, letters, num, when, whenAgo, whenFull } from './format.js';
import { button, by, card, dialog, empty, facts, failed, field, host, link, menu, pager, plain, problem, spark, tag, toast, whoWhy } from './ui.js';
import { chart, key } from './chart.js';
import { queryField } from './query.js';
import { redriveDialog } from './redrive.js';
import { changeDialog } from './change.js';
import { controls } from './page-tree.js';
import { letterTable, letterKeys, pickbar, standard } from './page-letters.js';

const spans = 24;
export const sparkParams = () => ({ spark: spans, since: new Date(Date.now() - 24 * 3600e3).toISOString() });

export const openOf = (g) => g.counts?.open || 0;

// groupTable is the list of groups, here and on the overview.
export function groupTable(groups) {
  return h('div', { class: 'scroll' }, h('table', { class: 'fold-rows' },
    h('thead', {}, h('tr', {}, h('th', {}, 'Failure'), h('th', {}, 'State'), h('th', { class: 'num' }, 'Open'), h('th', {}, 'Last 24 h'), h('th', { class: 'num' }, 'Last seen'))),
    h('tbody', {}, groups.map((g, i) => h('tr', { key: g.fingerprint, class: 'link' + (i === app.cursor ? ' at' : ''), onclick: (e) => e.target.closest('a') || app.go('group', { fingerprint: g.fingerprint }) },
      h('td', { class: 'wide', css: { 'max-width': '0', width: '56%' } },
        h('div', { class: 'row' }, h('a', { class: 'cover clip', href: link('group', { fingerprint: g.fingerprint }) }, g.subscriber || '(no subscriber)'), h('span', { class: 'second nowrap' }, reason(g))),
        h('span', { class: 'error-line', title: g.error }, g.error || reason(g)),
        g.note || g.owner ? h('span', { class: 'second' }, [g.owner && '@' + g.owner, g.note].filter(Boolean).join(' · ')) : null),
      h('td', {}, tag(g.state)),
      h('td', { class: 'num', 'data-name': 'open' }, num(openOf(g)), g.snoozed ? h('div', { class: 'second' }, num(g.snoozed) + ' snoozed') : null),
      h('td', { class: 'wide mid' }, g.spark?.length ? spark(g.spark, `${num(g.spark.reduce((a, b) => a + b, 0))} failures in the last 24 hours`) : null),
      h('td', { class: 'num' }, whenAgo(g.last_seen)))))));
}
export const reason = (l) => [String(l.reason || '').replaceAll('_', ' '), l.cause && l.cause !== 'error' ? l.cause : ''].filter(Boolean).join(' · ');

const statesOf = [['', 'All'], ['new', 'New'], ['regressed', 'Regressed'], ['acknowledged', 'Acknowledged']];

export const groups = {
  title: () => 'Groups',
  every: 15000,
  wants: (e) => ['letter', 'resolved', 'group', 'operation'].includes(e.kind),
  async load(p, signal) {
    const query = p.query ?? standard;
    try {
      return await get('groups', { query, state: p.state, after: p.after, ...sparkParams() }, signal);
    } catch (err) {
      if (err.status === 400) return { groups: [], total: 0, refused: err };
      throw err;
    }
  },
  rows: (d) => d.groups,
  keys(e, d, g) {
    if (!g) return false;
    if (e.key === 'Enter') return app.go('group', { fingerprint: g.fingerprint }), true;
    if (e.key === 'r' && may('mutate')) return redriveDialog({ group: g.fingerprint }, openOf(g)), true;
    if (e.key === 'a' && may('mutate')) return acknowledge(g), true;
  },
  view(d, p) {
    const query = p.query ?? standard;
    return [
      queryField({ value: query, error: d.refused, onsubmit: (q) => app.go('groups', { ...p, after: '', query: q === '' ? '*' : q }) }),
      h('div', { class: 'tabs', role: 'navigation', 'aria-label': 'States of groups' }, statesOf.map(([s, t]) => h('a', { key: s, href: link('groups', { ...p, state: s, after: '' }), 'aria-current': (p.state || '') === s ? 'true' : null }, t))),
      d.refused ? null : card(null, d.groups.length ? [groupTable(d.groups), pager({ shown: d.groups.length, total: d.total, next: d.next, hidden: d.hidden, what: 'group' })]
        : empty(p.state || query !== standard ? 'No group fits' : 'No dead letters', p.state || query !== standard ? 'Change the query or the state.' : `Nothing is open. Nothing failed for good that has not been dealt with${isSet(app.about.started) ? `; this console is up since ${ago(app.about.started)}` : ''}.`, { icon: 'check', actions: query !== '*' ? [h('a', { class: 'btn', href: link('groups', { query: '*' }) }, 'Show groups of any state')] : null })),
    ];
  },
};

async function change(g, fields, done) {
  try {
    await post('group/change', { by: by({}), fingerprint: g.fingerprint, ...fields });
    toast(done);
    app.reload();
  } catch (err) {
    failed(err);
  }
}
const acknowledge = (g) => (g.state === 'acknowledged' ? change(g, { acknowledged: false }, 'Not acknowledged any more') : change(g, { acknowledged: true }, 'Acknowledged'));

function noteDialog(g) {
  const state = { note: g.note || '', owner: g.owner || '', err: null, busy: false };
  dialog({
    title: 'Note and owner', sub: g.subscriber + ' · ' + reason(g),
    submit: async (d) => {
      state.busy = true;
      d.update();
      try {
        await post('group/change', { by: by({}), fingerprint: g.fingerprint, note: state.note, owner: state.owner });
        d.close();
        app.reload();
      } catch (err) {
        state.busy = false;
        state.err = err;
        d.update();
      }
    },
    body: () => [
      field('Owner', h('input', { type: 'text', value: state.owner, maxlength: 100, oninput: (e) => (state.owner = e.target.value) })),
      field('Note', h('textarea', { rows: 4, maxlength: 2000, value: state.note, oninput: (e) => (state.note = e.target.value) }), 'What is known of it, a link to the ticket'),
      state.err ? problem(state.err) : null,
    ],
    actions: (d) => [button('Cancel', d.close), button('Save', null, { kind: 'main', type: 'submit', disabled: state.busy })],
  });
}

export const group = {
  nav: 'groups',
  identity: (p) => p.fingerprint,
  title: (p, d) => d?.g?.subscriber || p.fingerprint,
  every: 10000,
  wants: (e) => ['letter', 'resolved', 'group', 'operation', 'subscriber'].includes(e.kind),
  async load(p, signal) {
    const query = `group:${p.fingerprint}`;
    const until = new Date(), from = new Date(until - 24 * 3600e3);
    const [g, line, page] = await Promise.all([
      get('group', { fingerprint: p.fingerprint }, signal), get('timeline', { query, from: from.toISOString(), until: until.toISOString(), spans: 60 }, signal),
      get('letters', { query: query + (p.state === '*' ? '' : ' state:open'), after: p.after, brief: true }, signal),
    ]);
    // The subscriber's control belongs beside the evidence.
    const subs = app.about.offline || !g.subscriber ? null : await get('subscribers', { name: g.subscriber, limit: 20 }, signal).catch(() => null);
    return { g, line, page, subs };
  },
  rows: (d) => d.page.letters,
  keys(e, d, row) {
    if (e.key === 'a' && !app.picked.size && may('mutate')) return acknowledge(d.g), true;
    if (e.key === 'r' && !row && !app.picked.size && may('mutate')) return redriveDialog({ group: d.g.fingerprint }, openOf(d.g)), true;
    return letterKeys(e, d.page, row, { query: `group:${d.g.fingerprint} state:open` });
  },
  missing: () => empty('No such group', 'It never had a letter, or its letters are of topics that you may not see.', { icon: 'gone' }),
  view({ g, line, page, subs }, p) {
    const times = line.spans.map((s) => Date.parse(s.from) / 1000);
    const open = openOf(g);
    const total = Object.values(g.counts || {}).reduce((a, b) => a + b, 0);
    return [
      h('div', { class: 'page-head' },
        h('div', {}, h('h1', {}, g.subscriber || '(no subscriber)'),
          h('div', { class: 'sub' }, tag(g.state), h('span', {}, reason(g)), h('span', {}, 'on ', (g.topics || []).map((t, i) => [i ? ', ' : '', h('a', { href: link('letters', { query: `topic:${t}` }) }, t)])), h('span', {}, 'last seen ', whenAgo(g.last_seen)))),
        may('mutate') ? h('div', { class: 'row wrap' },
          button(`Redrive ${letters(open)}`, () => redriveDialog({ group: g.fingerprint }, open), { kind: 'main', key: 'r', disabled: !open }),
          button(g.state === 'acknowledged' ? 'Unacknowledge' : 'Acknowledge', () => acknowledge(g), { key: 'a' }),
          menu('More', [{ text: 'Note and owner…', run: () => noteDialog(g) }, { text: 'Archive the group…', run: () => changeDialog('archive', { group: g.fingerprint }) }, { text: 'Snooze the group…', run: () => changeDialog('snooze', { group: g.fingerprint }) },
            { text: 'Mark as resolved…', run: () => changeDialog('resolve', { group: g.fingerprint }) }, { text: 'Delete the group…', danger: true, run: () => changeDialog('delete', { group: g.fingerprint }) }])) : null),
      h('div', { class: 'two' },
        h('div', { class: 'stack' },
          g.error ? card('Error', h('div', { class: 'body error-text' }, g.error)) : null,
          card('Failures, last 24 h', chart('chart-group', { times, bars: true, series: [{ label: 'Failed', color: '--bar-red', values: line.spans.map((s) => s.failed) }, { label: 'Resolved', color: '--bar-green', values: line.spans.map((s) => s.resolved) }], label: 'Failures and resolutions of this group in the last 24 hours' }), key([['k-red', 'Failed'], ['k-green', 'Resolved']]))),
        h('div', { class: 'stack' },
          card('Group', h('div', { class: 'body' }, facts([
            ['Letters', h('span', { class: 'tabular' }, Object.entries(g.counts || {}).filter(([, n]) => n).map(([s, n]) => `${num(n)} ${s}`).join(', ') || num(total))],
            g.snoozed ? ['Snoozed', num(g.snoozed)] : null, ['First seen', when(g.first_seen)], ['Last seen', when(g.last_seen)], isSet(g.redriven_at) ? ['Redriven', when(g.redriven_at)] : null,
            ['Owner', g.owner], ['Note', g.note], isSet(g.acknowledged_at) ? ['Acknowledged', h('span', {}, `${g.acknowledged_by || 'somebody'} `, whenAgo(g.acknowledged_at))] : null,
            ['Error types', g.error_types?.length ? h('span', { class: 'mono' }, g.error_types.join(' › ')) : null], ['Fingerprint', h('span', { class: 'mono' }, g.fingerprint)]]))),
          subs?.subscribers.length ? card('Subscriber', h('ul', { class: 'trouble' }, subs.subscribers.map((s) => h('li', { key: s.topic }, h('div', { class: 'grow' }, h('div', { class: 'row wrap' }, tag(s.state), h('a', { href: link('tree', { topic: s.topic, name: s.name }) }, s.topic)), h('div', { class: 'second dim' }, `${num(s.counts.queued)} queued, ${num(s.counts.restarts)} restarts`)), controls(s))))) : null)),
      card('Letters', [letterTable(page), pager({ shown: page.letters.length, total: page.total, next: page.next, hidden: page.hidden, withheld: page.withheld })],
        h('div', { class: 'tabs', role: 'navigation', 'aria-label': 'States of letters' }, [['open', 'Open'], ['all', 'All']].map(([s, t]) => h('a', { key: s, href: link('group', { fingerprint: g.fingerprint, state: s === 'open' ? '' : '*' }), 'aria-current': (p.state === '*') === (s === 'all') ? 'true' : null }, t)))),
      pickbar(page, { query: `group:${g.fingerprint} ${p.state === '*' ? '' : 'state:open'}`.trim() }),
    ];
  },
};
