import { h } from './dom.js';
import { get, post } from './api.js';
import { app, may } from './app.js';
import { figure, isSet, letters, num, plural, span, when, whenAgo } from './format.js';
import { button, by, card, dialog, empty, facts, failed, field, host, link, opTag, pager, plain, problem, tag, toast, whoWhy, word } from './ui.js';

const order = ['done', 'failed', 'left', 'in_doubt', 'issued'];
const names = { done: 'done', failed: 'failed again', left: 'left alone', in_doubt: 'in doubt', issued: 'under way', pending: 'pending' };

export function progress(op) {
  const total = op.total || 1, items = op.items || {};
  const ended = ['done', 'failed', 'left', 'in_doubt'].reduce((n, s) => n + (items[s] || 0), 0);
  return h('div', { class: 'progress', role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': op.total, 'aria-valuenow': ended, 'aria-label': `${num(ended)} of ${letters(op.total)} have their end` },
    order.map((s) => h('i', { class: 'i-' + s, key: s, css: { width: ((items[s] || 0) / total) * 100 + '%' } })));
}
const legend = (op) => h('div', { class: 'legend' }, [...order, 'pending'].filter((s) => op.items?.[s] || s === 'done').map((s) => h('span', { key: s }, h('i', { class: 'i-' + s }), `${num(op.items?.[s] || 0)} ${names[s]}`)));

export const operationLine = (op) => h('div', { class: 'stack op-line' }, h('div', { class: 'row' }, h('a', { class: 'grow clip', href: link('operation', { id: op.id }) }, `${op.kind[0].toUpperCase()}${op.kind.slice(1)} ${letters(op.total)}`), opTag(op.state)), progress(op), h('div', { class: 'dim' }, [op.by, op.why].filter(Boolean).join(': ')));

const states = [['', 'All'], ['running', 'Running'], ['paused', 'Paused'], ['stopped', 'Stopped'], ['done', 'Done'], ['cancelled', 'Cancelled']];

export const operations = {
  title: () => 'Operations',
  every: 5000,
  wants: (e) => e.kind === 'operation',
  load: (p, signal) => get('operations', { state: p.state, after: p.after }, signal),
  rows: (d) => d.operations,
  keys(e, d, row) {
    if (e.key === 'Enter' && row) return app.go('operation', { id: row.id }), true;
  },
  view(d, p) {
    return [
      h('div', { class: 'tabs', role: 'navigation', 'aria-label': 'States of operations' }, states.map(([s, t]) => h('a', { key: s, href: link('operations', { state: s }), 'aria-current': (p.state || '') === s ? 'true' : null }, t))),
      card(null, d.operations.length ? [h('div', { class: 'scroll' }, h('table', { class: 'fold-rows' },
        h('thead', {}, h('tr', {}, h('th', {}, 'Operation'), h('th', {}, 'State'), h('th', {}, 'Progress'), h('th', {}, 'By'), h('th', { class: 'num' }, 'Began'))),
        h('tbody', {}, d.operations.map((op, i) => h('tr', { key: op.id, class: 'link' + (i === app.cursor ? ' at' : ''), onclick: (e) => e.target.closest('a') || app.go('operation', { id: op.id }) },
          h('td', { class: 'wide' }, h('a', { class: 'cover', href: link('operation', { id: op.id }) }, `${op.kind[0].toUpperCase()}${op.kind.slice(1)} ${letters(op.total)}`), h('div', { class: 'second clip query-text' }, op.query || '')),
          h('td', {}, opTag(op.state)), h('td', { class: 'wide progress-cell' }, progress(op), op.items?.failed ? h('div', { class: 'second' }, `${num(op.items.failed)} failed again`) : null),
          h('td', { class: 'wide break' }, op.by || '–', op.why ? h('div', { class: 'second break' }, op.why) : null), h('td', { class: 'num' }, when(op.created_at))))))),
        pager({ shown: d.operations.length, total: d.total, next: d.next, what: 'operation' })]
        : empty('No operations', p.state ? 'None is in that state.' : 'Redrives, archives, deletes and the like are here, with what became of each letter.', { icon: 'operations' })),
    ];
  },
};

const itemStates = ['', 'failed', 'left', 'in_doubt', 'issued', 'done', 'pending'];

export const operation = {
  nav: 'operations',
  identity: (p) => p.id,
  title: (p, d) => (d ? `${d.op.kind} ${p.id}` : p.id || 'Operation'),
  every: 1500,
  wants: (e, p) => e.kind === 'operation' && (!e.object || e.object === p.id),
  async load(p, signal) {
    const [op, items] = await Promise.all([get('operation', { id: p.id }, signal), get('items', { operation: p.id, state: p.state, after: p.after ?? -1, limit: 50 }, signal)]);
    return { op, items };
  },
  rows: (d) => d.items.items,
  keys(e, { op } = {}, row) {
    if (!op) return false;
    if (e.key === 'Enter' && row) return app.go('letter', { id: row.letter }), true;
    if (e.key === 'p' && may('mutate')) return op.state === 'running' ? act(op, 'pause') : ['paused', 'stopped'].includes(op.state) ? act(op, 'resume') : null, true;
  },
  missing: () => empty('No such operation', 'See the list of operations.', { icon: 'gone', actions: [h('a', { class: 'btn', href: link('operations') }, 'Operations')] }),
  view({ op, items }, p) {
    const plan = op.plan || {};
    const over = ['done', 'cancelled'].includes(op.state);
    const item = op.items || {};
    const ended = (item.done || 0) + (item.failed || 0) + (item.left || 0) + (item.in_doubt || 0);
    return [
      h('div', { class: 'page-head' },
        h('div', {}, h('h1', {}, `${op.kind[0].toUpperCase()}${op.kind.slice(1)} of ${letters(op.total)}`), h('div', { class: 'sub' }, opTag(op.state), op.by ? h('span', {}, 'by ', op.by) : null, h('span', {}, 'began ', whenAgo(op.created_at)), isSet(op.ended_at) ? h('span', {}, `took ${span((Date.parse(op.ended_at) - Date.parse(op.created_at)) * 1e6)}`) : null, op.why ? h('span', { class: 'break' }, '“', op.why, '”') : null)),
        may('mutate') && !over ? h('div', { class: 'row wrap' }, op.state === 'running' ? button('Pause', () => act(op, 'pause'), { key: 'p' }) : button('Resume', () => act(op, 'resume'), { kind: 'main', key: 'p' }), op.kind === 'redrive' ? button('Rate…', () => rateDialog(op)) : null, button('Cancel…', () => cancelDialog(op), { kind: 'danger' })) : null),
      op.stopped ? h('div', { class: 'note bad', role: 'status' }, h('b', {}, 'Stopped. '), op.stopped.replace(/\.?$/, '. '), may('mutate') ? 'What is pending has not been touched: look at what failed, then resume or cancel.' : '') : null,
      item.in_doubt ? h('div', { class: 'note' }, `${letters(item.in_doubt)} in doubt: the process ended while they were under way. Their handlers may have succeeded.`) : null,
      card(h('span', { class: 'tabular' }, `${num(ended)} of ${num(op.total)}`), h('div', { class: 'body stack' }, plan.steps?.length ? steps(op, plan) : null, progress(op), legend(op)),
        h('span', { class: 'dim tabular' }, over ? '' : [op.rate ? `${figure(op.rate)}/s` : '', op.eta_ns ? `about ${span(op.eta_ns)} left` : ''].filter(Boolean).join(' · '))),
      h('div', { class: 'two' },
        card('Letters', [items.items.length ? h('div', { class: 'scroll' }, h('table', { class: 'fold-rows' }, h('thead', {}, h('tr', {}, h('th', { class: 'num' }, '#'), h('th', {}, 'Letter'), h('th', {}, 'Result'), h('th', {}, 'Ended'), h('th', {}, 'Error'))),
          h('tbody', {}, items.items.map((x, i) => h('tr', { key: x.position, class: 'link' + (i === app.cursor ? ' at' : ''), onclick: (e) => e.target.closest('a') || app.go('letter', { id: x.letter }) }, h('td', { class: 'num off' }, num(x.position + 1)), h('td', { class: 'mono wide nowrap' }, h('a', { href: link('letter', { id: x.letter }) }, x.letter)), h('td', {}, tag(x.state, names[x.state])), h('td', {}, when(x.ended_at)), h('td', { class: 'wide error-text' }, x.error)))))) : empty('None', 'No letter has that result.', { slim: true }),
          pager({ shown: items.items.length, total: items.total, next: items.next >= 0 ? String(items.next) : '' })],
          h('label', { class: 'row' }, h('span', { class: 'visually-hidden' }, 'Result'), h('select', { value: p.state || '', onchange: (e) => app.go('operation', { id: p.id, state: e.target.value }) }, itemStates.map((s) => h('option', { value: s }, s ? names[s] : 'any result'))))),
        card('Plan', h('div', { class: 'body' }, facts([
          ['ID', h('span', { class: 'mono' }, op.id)], ['Letters', op.query ? h('span', { class: 'mono' }, op.query) : null], op.kind === 'redrive' ? ['Attempts', plan.budget ? plural(plan.budget, 'attempt') : 'a fresh budget'] : null,
          op.kind === 'redrive' ? ['Rate', plan.rate ? `${num(plan.rate)}/s` : 'as the mailbox has room'] : null, plan.steps?.length ? ['Steps', plan.steps.map((x) => x + ' %').join(' → ')] : null, plan.max_failures ? ['Stops at', plan.max_failures < 0 ? 'never' : `more than ${plan.max_failures} % failed`] : null,
          ['Fix', plan.fix], plan.rehearse ? ['Rehearsal', 'yes'] : null, plan.to?.topic || plan.to?.subscriber ? ['To', [plan.to.topic, plan.to.subscriber].filter(Boolean).join(' / ')] : null, ['Node', op.node], ['Began', when(op.created_at)], isSet(op.ended_at) ? ['Ended', when(op.ended_at)] : null])))),
    ];
  },
};

function steps(op, plan) {
  // Where it stopped is the step of the last outcome, not the one that would be next.
  const ended = ['done', 'failed', 'left', 'in_doubt'].reduce((n, s) => n + (op.items?.[s] || 0), 0);
  let end = 0;
  const ends = plan.steps.map((x) => (end = Math.min(op.total, Math.max(end + 1, Math.ceil((op.total * x) / 100)))));
  const stopped = op.state === 'stopped';
  const now = stopped ? ends.findIndex((e) => e >= ended) + 1 : op.step || (op.state === 'done' ? plan.steps.length + 1 : 1);
  return h('div', { class: 'steps', role: 'img', 'aria-label': `Step ${Math.min(now, plan.steps.length)} of ${plan.steps.length}` }, plan.steps.map((x, i) => h('span', { key: i, class: op.state === 'done' || i + 1 < now ? 'past' : i + 1 === now ? (stopped ? 'bad' : 'now') : '' }, `${x} %`)));
}

async function act(op, what) {
  try {
    await post('operation/' + what, { by: by({}), id: op.id });
    toast(what === 'pause' ? 'Paused' : 'Resumed');
    app.reload();
  } catch (err) {
    failed(err);
  }
}

function rateDialog(op) {
  const s = { rate: op.plan?.rate ? String(op.plan.rate) : '', why: '', err: null };
  dialog({
    title: 'Letters per second', sub: host(),
    submit: async (d) => {
      try {
        await post('operation/rate', { by: by(s), id: op.id, per_second: Number(s.rate) || 0 });
        d.close();
        app.reload();
      } catch (err) {
        s.err = err;
        d.update();
      }
    },
    body: () => [field('Rate', h('input', { type: 'number', name: 'rate', min: '0', step: 'any', value: s.rate, placeholder: 'as fast as the mailbox has room', oninput: (e) => (s.rate = e.target.value) }), 'Empty is without a limit. It holds at once.'), whoWhy(s), s.err ? problem(s.err) : null],
    actions: (d) => [button('Cancel', d.close), button('Set', null, { kind: 'main', type: 'submit' })],
  });
}

function cancelDialog(op) {
  const s = { why: '', err: null };
  dialog({
    title: 'Cancel the operation?', sub: host(),
    submit: async (d) => {
      try {
        await post('operation/cancel', { by: by(s), id: op.id });
        d.close();
        app.reload();
      } catch (err) {
        s.err = err;
        d.update();
      }
    },
    body: () => [h('p', {}, `${letters(op.items?.pending || 0)} pending are left as they are. What is under way ends by itself. It cannot be resumed.`), whoWhy(s), s.err ? problem(s.err) : null],
    actions: (d) => [button('Go on with it', d.close), button('Cancel the operation', null, { kind: 'main danger', type: 'submit' })],
  });
}
