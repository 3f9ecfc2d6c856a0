import { h } from './dom.js';
import { get } from './api.js';
import { app } from './app.js';
import { ago, figure, isSet, letters, num, plural, span } from './format.js';
import { card, empty, facts, link, tag } from './ui.js';
import { chart, key } from './chart.js';
import { groupTable, sparkParams } from './page-groups.js';
import { standard } from './page-letters.js';
import { operationLine } from './page-operations.js';

const last = (points) => points[points.length - 1];

export default {
  title: () => 'Overview',
  every: 5000,
  wants: (e) => ['letter', 'resolved', 'operation', 'group', 'subscriber'].includes(e.kind),
  async load(params, signal) {
    const until = new Date(), from = new Date(until - 24 * 3600e3);
    const [o, series, line, groups, health] = await Promise.all([
      get('overview', {}, signal), get('series', {}, signal), get('timeline', { from: from.toISOString(), until: until.toISOString(), spans: 48 }, signal),
      get('groups', { query: standard, limit: 8, ...sparkParams() }, signal), app.about.offline ? null : get('health', {}, signal),
    ]);
    return { o, series, line, groups, health };
  },
  rows: (d) => d.groups.groups,
  keys(e, d, row) {
    if (e.key === 'Enter' && row) return app.go('group', { fingerprint: row.fingerprint }), true;
  },
  view({ o, series, line, groups, health }) {
    const a = o.account, now = last(series.points) || {};
    const total = a.added;
    return [
      faults(o),
      h('dl', { class: 'figures' },
        fig('Open letters', num(a.open), a.open ? `oldest ${isSet(a.oldest) ? ago(a.oldest) : '–'}` : 'nothing to look at', a.open > 0 && 'red'),
        fig('Being redriven', num(a.redriving), runs(o.running || [])),
        app.about.offline ? null : [fig('Throughput', figure(now.done) + '/s', 'events handled'), fig('Failures', figure(now.failures) + '/s', 'attempts that failed'), fig('Depth', num(now.depth), 'wait or are in hand')],
        fig('Store', Math.round(a.fill * 100) + ' %', a.dropped || a.expired ? `${num(a.dropped)} dropped, ${num(a.expired)} expired` : `${num(total)} letters ever`, a.fill >= 0.8 && 'red')),
      h('div', { class: app.about.offline ? '' : 'charts' },
        app.about.offline ? null : [
        chartCard('Throughput', 'per second', series, [['Handled', 'done', '--bar-green', 'k-green'], ['Failed attempts', 'failures', '--bar-red', 'k-red']]),
        chartCard('Depth', 'events that wait', series, [['Waiting', 'depth', '--bar-blue', 'k-blue']])],
        deadChart(line)),
      h('div', { class: 'halves' },
        card('What fails', groups.groups.length ? groupTable(groups.groups) : nothing(a, o), h('a', { href: link('groups') }, groups.total > groups.groups.length ? `All ${num(groups.total)} groups` : 'Groups')),
        h('div', { class: 'stack' },
          o.running?.length ? card('Under way', h('ul', { class: 'trouble' }, o.running.map((op) => h('li', {}, h('div', { class: 'grow' }, operationLine(op))))), h('a', { href: link('operations') }, 'Operations')) : null,
          health ? healthCard(health) : null,
          o.fleet?.length ? fleetCard(o.fleet) : null,
          card('Account of letters', h('div', { class: 'body' }, facts([
            ['Added', num(a.added)], ['Open', num(a.open)], ['Redriving', num(a.redriving)], ['Resolved', num(a.resolved)], ['Archived', num(a.archived)],
            ['Deleted', num(a.deleted)], ['Expired', num(a.expired)], ['Dropped', a.dropped ? h('b', { class: 'red' }, num(a.dropped)) : '0']]),
            h('p', { class: 'dim' }, balanced(a) ? '' : h('b', { class: 'red' }, 'The account does not add up: run troupe verify.')))))),
    ];
  },
};

const runs = (list) => {
  const n = list.filter((op) => op.state === 'running').length, held = list.length - n;
  return [n ? plural(n, 'operation') + ' running' : '', held ? `${num(held)} held` : ''].filter(Boolean).join(', ') || 'no operation runs';
};
const balanced = (a) => a.added === a.open + a.redriving + a.resolved + a.archived + a.deleted + a.expired + a.dropped;
const fig = (name, value, small, cls) => h('div', { class: 'figure' }, h('dt', {}, name), h('dd', { class: cls || '' }, value, h('small', { title: small }, small)));

function faults(o) {
  const list = o.faults || [];
  if (!list.length && !o.letters?.failing) return null;
  return card('Needs a person', h('ul', { class: 'trouble' }, list.map((f) => h('li', {}, tag(f.kind === 'subscriber' || f.kind === 'store' ? 'failed' : 'left', f.kind),
    h('span', { class: 'grow' }, f.message), f.subscriber ? h('a', { href: link('tree', { topic: f.topic, name: f.subscriber }) }, 'Show') : null))));
}

function nothing(a, o) {
  const since = isSet(app.about.started) ? ago(app.about.started) : 'the start';
  return a.added === 0
    ? empty('No dead letters', `Nothing has failed for good since this console came up ${since}. When a handler gives up on an event, it is here within a second.`, { icon: 'check' })
    : empty('Nothing is open', `All ${letters(a.added)} that there ever were have been dealt with.`, { icon: 'check' });
}

function chartCard(title, sub, series, lines) {
  const times = series.points.map((p) => Date.parse(p.at) / 1000);
  return card(h('span', {}, title, ' ', h('span', { class: 'faint' }, sub)),
    times.length > 1
      ? chart('chart-' + title, { times, series: lines.map(([label, field, color]) => ({ label, color, fill: true, values: series.points.map((p) => p[field]) })), label: `${title}: ${lines.map(([label, f]) => `${label} ${figure(last(series.points)[f])}`).join(', ')} now` })
      : h('div', { class: 'chart', key: 'wait-' + title }, empty('', 'The first figures come within seconds.', { slim: true })),
    lines.length > 1 ? key(lines.map(([label, , , cls]) => [cls, label])) : null);
}

function deadChart(line) {
  const times = line.spans.map((s) => Date.parse(s.from) / 1000);
  const sum = (f) => line.spans.reduce((n, s) => n + s[f], 0);
  return card(h('span', {}, 'Dead letters ', h('span', { class: 'faint' }, 'last 24 h')),
    chart('chart-dead', {
      times, bars: true, series: [{ label: 'Failed', color: '--bar-red', values: line.spans.map((s) => s.failed) }, { label: 'Resolved', color: '--bar-green', values: line.spans.map((s) => s.resolved) }],
      label: `${num(sum('failed'))} letters failed and ${num(sum('resolved'))} were resolved in the last 24 hours`,
    }), key([['k-red', 'Failed'], ['k-green', 'Resolved']]));
}

function fleetCard(members) {
  return card('Fleet', h('ul', { class: 'trouble' }, members.map((m) => h('li', { key: m.id }, h('div', { class: 'grow' }, h('b', { class: 'clip', title: m.id }, [m.node, m.runtime].filter(Boolean).join(' · ') || m.id),
    h('small', { class: 'dim clip' }, [m.build, isSet(m.started_at) ? 'since ' + ago(m.started_at) : ''].filter(Boolean).join(', ')))))));
}

function healthCard(health) {
  if (!health.groups.length) return card('Health', empty('No subscribers', 'Nobody has subscribed to a topic yet.', { slim: true }));
  return card('Health', h('div', { class: 'tiles' }, health.groups.map((g) => {
    const path = '/' + g.path.join('/');
    const bad = Object.entries(g.states).filter(([s]) => !['running', 'idle', 'passive', 'starting'].includes(s));
    return h('a', { class: 'tile t' + g.trouble, href: link('tree', { group: path, sort: 'trouble' }), key: path, title: path },
      h('b', { class: 'clip' }, g.path.slice(1).join(' / ') || g.path[0] || 'root'),
      h('small', {}, bad.length ? bad.map(([s, n]) => `${n} ${s.replaceAll('_', ' ')}`).join(', ') : `${num(g.subscribers)} fine`),
      h('small', {}, `${num(g.depth)} deep${g.oldest_ns > 1e9 ? ', oldest ' + span(g.oldest_ns) : ''}${g.restarts ? `, ${num(g.restarts)} restarts` : ''}`));
  })), h('a', { href: link('tree', { sort: 'trouble' }) }, 'Tree'));
}
