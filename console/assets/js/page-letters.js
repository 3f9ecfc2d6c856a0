import { h } from './dom.js';
import { address, get, post } from './api.js';
import { app, may } from './app.js';
import { asText, bytes, colored, fromBase64, hex, isJSON, isSet, letters as lettersOf, num, plural, pretty, span, when, whenAgo, whenFull } from './format.js';
import { button, by, card, copy, empty, facts, failed, field, link, menu, opTag, pager, plain, problem, say, tag, toast, word } from './ui.js';
import { queryField } from './query.js';
import { redriveDialog, fixDialog } from './redrive.js';
import { changeDialog } from './change.js';
import { editDialog } from './edit.js';
import { diffTable } from './diff.js';
import { reason } from './page-groups.js';

// letterTable is a page of letters with marks.
export function letterTable(page) {
  if (!page.letters.length) return empty('No letters', 'Nothing fits.', { slim: true });
  const on = (l) => app.all || app.picked.has(l.id);
  const all = page.letters.every(on);
  return h('div', { class: 'scroll letters' }, h('table', { class: 'fold-rows' },
    h('thead', {}, h('tr', {},
      h('th', { class: 'pick', css: { width: '34px' } }, h('input', { type: 'checkbox', 'aria-label': 'Choose all on this page', checked: all, indeterminate: !all && page.letters.some(on), onclick: () => pickPage(page, !all) })),
      h('th', { css: { width: '118px' } }, 'Failed'), h('th', { css: { width: '24%' } }, 'Subscriber'), h('th', {}, 'Error'), h('th', { class: 'num', css: { width: '82px' } }, 'Attempts'), h('th', { class: 'num', css: { width: '86px' } }, 'Redrives'), h('th', { css: { width: '112px' } }, 'State'))),
    h('tbody', {}, page.letters.map((l, i) => h('tr', {
      key: l.id, class: 'link' + (i === app.cursor ? ' at' : '') + (on(l) ? ' picked' : ''), 'aria-selected': on(l) ? 'true' : null,
      onclick: (e) => e.target.closest('a, input, td.pick') || app.go('letter', { id: l.id }),
    },
      h('td', { class: 'pick', onclick: (e) => e.target.nodeName !== 'INPUT' && e.currentTarget.querySelector('input').click() }, h('input', { type: 'checkbox', checked: on(l), 'aria-label': `Choose letter ${l.id}`, onclick: (e) => pick(page, i, e.shiftKey) })),
      h('td', {}, h('a', { class: 'cover', href: link('letter', { id: l.id }) }, when(l.last_failed_at || l.first_failed_at))),
      h('td', { class: 'wide' }, h('div', { class: 'clip', title: l.subscriber }, l.subscriber || h('span', { class: 'faint' }, '(no subscriber)')), h('div', { class: 'second clip', title: l.topic }, l.topic)),
      h('td', { class: 'wide' }, h('span', { class: 'error-line', title: l.error }, l.panic_value || l.error || '–'), h('span', { class: 'second' }, reason(l))),
      h('td', { class: 'num off' }, num(l.attempt_count)), h('td', { class: 'num off' }, num(redrives(l)) ),
      h('td', {}, tag(l.state), snoozed(l))))))) ;
}
export const redrives = (l) => (l.redrives?.length ? l.redrives[l.redrives.length - 1].number : 0);
const snoozed = (l) => (isSet(l.snoozed_until) && new Date(l.snoozed_until) > new Date() ? h('div', { class: 'second' }, 'snoozed') : null);

let lastPick = -1;
function pick(page, i, range) {
  leaveAll(page);
  const id = page.letters[i].id;
  const on = !app.picked.has(id);
  const [from, to] = range && lastPick >= 0 && lastPick < page.letters.length ? [Math.min(lastPick, i), Math.max(lastPick, i)] : [i, i];
  for (let j = from; j <= to; j++) on ? app.picked.add(page.letters[j].id) : app.picked.delete(page.letters[j].id);
  lastPick = i;
  app.cursor = i;
  said();
}
function pickPage(page, on) {
  leaveAll(page, on);
  for (const l of page.letters) on ? app.picked.add(l.id) : app.picked.delete(l.id);
  said();
}
function leaveAll(page) {
  if (!app.all) return;
  app.all = false;
  for (const l of page.letters) app.picked.add(l.id);
}
function clear() {
  app.all = false;
  app.picked.clear();
  said();
}
function said() {
  say(app.picked.size ? `${lettersOf(app.picked.size)} chosen` : 'none chosen');
  app.render();
}

// chosen is what an action is about: marks, all that match, or the row.
function chosen(page, row, match) {
  if (app.all) return { scope: { query: match.query || '*' }, n: page.total };
  if (app.picked.size) return { scope: { ids: [...app.picked] }, n: app.picked.size };
  return row ? { scope: { ids: [row.id] }, n: 1 } : null;
}

// pickbar is what can be done with what is chosen.
export function pickbar(page, match) {
  const n = app.all ? page.total : app.picked.size;
  if (!n) return null;
  const { scope } = chosen(page, null, match);
  const act = (kind) => () => changeDialog(kind, scope, { n, done: clear });
  return h('div', { class: 'pickbar', role: 'region', 'aria-label': 'Chosen letters', key: 'pickbar' },
    h('b', {}, app.all ? `All ${page.partial ? 'letters' : lettersOf(n)} that match` : `${num(n)} chosen`),
    !app.all && page.total > n ? h('button', { type: 'button', class: 'btn small', onclick: () => ((app.all = true), said()) }, `Choose all ${page.partial ? '' : num(page.total) + ' '}that match`) : null,
    may('mutate') ? [button('Redrive…', () => redriveDialog(scope, n, clear), { kind: 'main small', key: 'r' }), button('Archive…', act('archive'), { kind: 'small', key: 'a' }), button('Snooze…', act('snooze'), { kind: 'small' }), button('Resolve…', act('resolve'), { kind: 'small' }), button('Restore…', act('restore'), { kind: 'small' }), button('Delete…', act('delete'), { kind: 'small danger' })] : null,
    may('payload') ? h('a', { class: 'btn small', download: true, href: address('export', { ...(app.all ? { query: scope.query } : { id: scope.ids }), by: by({}).name }).href }, 'Export') : null,
    button('Clear', clear, { kind: 'small', key: 'Esc' }));
}

// letterKeys are the keys of lists of letters.
export function letterKeys(e, page, row, match) {
  if (e.key === 'Escape' && (app.picked.size || app.all)) return clear(), true;
  if (e.key === 'X') return pickPage(page, !page.letters.every((l) => app.picked.has(l.id))), true;
  if (e.key === 'x' && row) return pick(page, app.cursor), true;
  if (e.key === 'Enter' && row) return app.go('letter', { id: row.id }), true;
  if (!may('mutate')) return false;
  const c = chosen(page, row, match);
  if (e.key === 'r' && c) return redriveDialog(c.scope, c.n, clear), true;
  if (e.key === 'a' && c) return changeDialog('archive', c.scope, { n: c.n, done: clear }), true;
  if (e.key === 'e' && row) return editDialog(row.id), true;
}

export const standard = 'state:open snoozed:no';
const states = [['open', 'Open'], ['snoozed', 'Snoozed'], ['redriving', 'Redriving'], ['resolved', 'Resolved'], ['archived', 'Archived'], ['deleted', 'Deleted'], ['*', 'All']];

// The tabs are about the query's own state:… term, so that they and the text agree.
const stateIn = (query) => (/(?:^|\s)snoozed:yes/.test(query) ? 'snoozed' : (/(?:^|\s)state:(\w+)/.exec(query) || [])[1] || '*');
const withState = (query, s) => {
  const rest = query.replace(/(?:^|\s)(state:\w+|snoozed:(yes|no))/g, '').replace(/^\*$/, '').trim();
  return (s === '*' ? rest || '*' : `${s === 'open' ? standard : s === 'snoozed' ? 'snoozed:yes' : 'state:' + s} ${rest}`.trim());
};

// counted has a page that came without its total get it, as soon as the server has
// counted. A page that comes meanwhile shows what was counted last.
let count = { query: null, total: 0, running: false };
function counted(query, page) {
  if (!page.partial) return page;
  if (count.query !== query) count = { query, total: 0, running: false };
  const mine = count;
  page.total = Math.max(page.total, mine.total);
  mine.page = page;
  if (!mine.running) {
    mine.running = true;
    post('count', { scope: { query: query || '*' } }).then((c) => {
      mine.total = mine.page.total = c.count;
      mine.page.partial = false;
      app.render();
    }).catch(() => {}).finally(() => (mine.running = false));
  }
  return page;
}

// search reads a page. Where letters are rare the server answers with what it has found
// so far, and is asked to look on until the page is full; show is told of each part.
const full = 50;
async function search(query, first, signal, show) {
  let page = { letters: [], hidden: 0, withheld: 0 }, after = first, within = 0;
  for (;;) {
    const part = await get('letters', { query, after, limit: full - page.letters.length - page.hidden, brief: true, quick: true, within }, signal);
    const found = page.letters.length + page.hidden;
    page = { ...part, total: part.partial ? part.total + found : part.total, letters: page.letters.concat(part.letters), hidden: page.hidden + (part.hidden || 0), withheld: page.withheld + (part.withheld || 0) };
    if (!part.searched || page.letters.length + page.hidden >= full) break;
    page.searching = part.searched;
    show(page);
    after = part.next;
    within = 250;
  }
  if (page.partial && !page.next && !first) Object.assign(page, { total: page.letters.length + page.hidden, partial: false });
  return counted(query, page);
}

export const letters = {
  title: () => 'Letters',
  every: 20000,
  wants: (e) => ['letter', 'resolved', 'operation'].includes(e.kind),
  async load(p, signal, show) {
    const query = p.query ?? standard;
    try {
      return await search(query, p.after, signal, show);
    } catch (err) {
      if (err.status === 400) return { letters: [], total: 0, refused: err };
      throw err;
    }
  },
  rows: (d) => d.letters,
  keys: (e, d, row) => letterKeys(e, d, row, { query: app.params.query ?? standard }),
  view(d, p) {
    const query = p.query ?? standard;
    return [
      queryField({ value: query, error: d.refused, onsubmit: (q) => app.go('letters', { query: q === '' ? '*' : q }) }),
      h('div', { class: 'row wrap' },
        h('div', { class: 'tabs', role: 'navigation', 'aria-label': 'States of letters' }, states.map(([s, t]) => h('a', { key: s, href: link('letters', { query: withState(query, s) }), 'aria-current': stateIn(query) === s ? 'true' : null }, t))),
        h('span', { class: 'grow' }),
        may('mutate') && !d.refused && d.total ? menu(d.partial ? 'All that match' : `All ${lettersOf(d.total)}`, [
          { text: 'Redrive…', run: () => redriveDialog({ query }, d.total) }, { text: 'Fix with a function…', run: () => fixDialog({ query }, d.total) }, ...['archive', 'snooze', 'resolve', 'restore', 'delete'].map((k) => ({ text: k[0].toUpperCase() + k.slice(1) + '…', danger: k === 'delete', run: () => changeDialog(k, { query }, { n: d.total }) })),
          may('payload') ? { text: 'Export as JSON lines', run: () => (location.href = address('export', { query, by: by({}).name }).href) } : null, may('payload') ? { text: 'Export as CloudEvents', run: () => (location.href = address('export', { query, format: 'cloudevents', by: by({}).name }).href) } : null]) : null),
      d.searching ? searching(d) : null,
      d.refused || (d.searching && !d.letters.length) ? null : card(null, d.letters.length ? [letterTable(d), d.searching ? null : pager({ shown: d.letters.length, total: d.total, partial: d.partial, next: d.next, hidden: d.hidden, withheld: d.withheld })]
        : empty(query === standard ? 'No dead letters' : 'No letter fits', query === standard ? 'Nothing is open. When a handler gives up on an event, it is here within a second.' : 'Change the query, or look at letters of any state.', { icon: query === standard ? 'check' : 'letters', actions: query !== '*' ? [h('a', { class: 'btn', href: link('letters', { query: '*' }) }, 'Show letters of any state')] : null })),
      pickbar(d, { query }),
    ];
  },
};

// searching says how far a search is that takes long.
function searching(d) {
  const percent = Math.floor(100 * d.searching);
  return h('div', { class: 'card searching', key: 'searching' }, h('div', { class: 'body stack' },
    h('div', { class: 'tabular', role: 'status' }, `${d.letters.length ? lettersOf(d.letters.length) + ' found' : 'Nothing found yet'}; ${percent || 'less than 1'} % of the store searched, the newest first`),
    h('div', { class: 'progress', role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': percent, 'aria-label': 'How much of the store has been searched' }, h('i', { class: 'i-issued', css: { width: `${percent}%` } }))));
}

// One letter.

const base = () => location.href.split('#')[0].replace(/[^/]*$/, '');
const shell = (s) => `'${s.replaceAll("'", `'\\''`)}'`;
const redriveCurl = (l) => `curl -sS -X POST -H 'Content-Type: application/json' \\\n  -d ${shell(JSON.stringify({ by: { name: 'me', why: '' }, redrive: { scope: { ids: [l.id] }, budget: 1 } }))} \\\n  ${shell(base() + 'api/v1/redrive')}`;

async function goTest(l) {
  try {
    const t = await get('gotest', { id: l.id });
    copy(t.text, 'Go test');
  } catch (err) {
    failed(err);
  }
}

export const letter = {
  nav: 'letters',
  identity: (p) => p.id,
  title: (p) => p.id || 'Letter',
  every: 15000,
  wants: (e, p) => e.object === p.id || e.kind === 'operation',
  async load(p, signal) {
    const l = await get('letter', { id: p.id }, signal);
    const [diff, near] = await Promise.all([
      p.with ? get('diff', { a: p.with, b: p.id }, signal).catch((err) => ({ err })) : null,
      l.fingerprint ? get('letters', { query: `group:${l.fingerprint}`, limit: 20, brief: true }, signal).catch(() => null) : null,
    ]);
    return { l, diff, near };
  },
  missing: () => empty('No such letter', 'It was deleted or has expired, or is of a topic that you may not see.', { icon: 'gone', actions: [h('a', { class: 'btn', href: link('letters') }, 'Letters')] }),
  keys(e, { l } = {}) {
    if (!l || !may('mutate')) return false;
    if (e.key === 'r') return redriveDialog({ ids: [l.id] }, 1), true;
    if (e.key === 'e') return editDialog(l.id), true;
    if (e.key === 'a') return changeDialog(l.state === 'archived' ? 'restore' : 'archive', { ids: [l.id] }, { n: 1 }), true;
  },
  view({ l, diff, near }, p) {
    const act = (kind) => () => changeDialog(kind, { ids: [l.id] }, { n: 1 });
    const closed = ['archived', 'deleted', 'resolved'].includes(l.state);
    const others = (near?.letters || []).filter((o) => o.id !== l.id);
    return [
      h('div', { class: 'page-head' },
        h('div', {}, h('h1', { class: 'break' }, l.subscriber || '(no subscriber)'),
          h('div', { class: 'sub' }, tag(l.state), h('span', {}, reason(l)), h('span', {}, 'on ', h('a', { href: link('letters', { query: `topic:${l.topic}` }) }, l.topic)), h('span', {}, plural(l.attempt_count, 'attempt')), h('span', {}, 'failed ', whenAgo(l.last_failed_at)), l.fingerprint ? h('a', { href: link('group', { fingerprint: l.fingerprint }) }, near ? plural(near.total, 'letter') + ' like it' : 'its group') : null)),
        h('div', { class: 'row wrap' },
          may('mutate') ? [button('Redrive', () => redriveDialog({ ids: [l.id] }, 1), { kind: 'main', key: 'r', disabled: l.state !== 'open' }), button('Edit and resend', () => editDialog(l.id), { key: 'e', disabled: l.state !== 'open' }), closed ? button('Restore', act('restore')) : button('Archive', act('archive'), { key: 'a' }),
            menu('More', [{ text: 'Snooze…', run: act('snooze') }, { text: 'Mark as resolved…', run: act('resolve') }, { text: 'Fix with a function…', run: () => fixDialog({ ids: [l.id] }, 1) }, { text: 'Delete…', danger: true, run: act('delete') }])] : null,
          menu('Copy', [{ text: 'Link', run: () => copy(location.href, 'Link') }, { text: 'As curl', run: () => copy(`curl -sS ${shell(base() + 'api/v1/letter?id=' + encodeURIComponent(l.id))}`, 'curl command') }, { text: 'Redrive as curl', run: () => copy(redriveCurl(l), 'curl command') },
            { text: 'As command line', run: () => copy(`troupe show ${l.id} --server ${shell(base())}`, 'Command') }, { text: 'Redrive as command line', run: () => copy(`troupe redrive ${l.id} --server ${shell(base())} --attempts 1`, 'Command') }, l.withheld ? null : { text: 'As Go test', run: () => goTest(l) }]))),
      l.withheld ? h('div', { class: 'note' }, 'Payload, headers, errors and stacks are withheld: you do not have the right to see those of this topic.') : null,
      h('div', { class: 'two' },
        h('div', { class: 'stack' },
          l.error || l.panic_value ? card(l.panic_value ? 'Panic' : 'Error', h('div', { class: 'body error-text' }, l.panic_value || l.error, l.panic_value && l.error && l.error !== l.panic_value ? h('div', { class: 'dim' }, l.error) : null), l.error_types?.length ? h('span', { class: 'faint mono clip', title: l.error_types.join(' › ') }, l.error_types.join(' › ')) : null) : null,
          l.stack ? card('Stack', stack(l, p), l.user_frames?.length ? h('span', { class: 'row' }, h('a', { class: 'btn small bare', href: link('letter', { ...p, stack: p.stack ? '' : 'all' }) }, p.stack ? 'Your code only' : 'All frames')) : null) : null,
          payload(l, p),
          diffCard(l, diff, p, others),
          attempts(l), history(l)),
        h('div', { class: 'stack' },
          card('Letter', h('div', { class: 'body' }, facts([
            ['ID', h('span', { class: 'mono' }, l.id)], ['Topic', l.topic], ['Subscriber', l.subscriber], ['Pattern', l.pattern], ['Sequence', String(l.sequence)], ['Node', l.node], ['Build', l.build], ['Published', isSet(l.published_at) ? when(l.published_at) : null], ['First failed', when(l.first_failed_at)], ['Last failed', when(l.last_failed_at)],
            ['Event', l.event_id ? h('a', { class: 'mono', href: link('letters', { query: `event:${l.event_id}` }) }, l.event_id) : null], ['Caused by', l.causation_id ? h('span', { class: 'mono' }, l.causation_id) : null], ['Belongs to', l.correlation_id ? h('span', { class: 'mono' }, l.correlation_id) : null],
            ['Go type', h('span', { class: 'mono' }, l.go_type)], ['Encoding', l.content_type], ['Version', l.schema_version || null], ['Group', l.fingerprint ? h('a', { class: 'mono', href: link('group', { fingerprint: l.fingerprint }) }, l.fingerprint) : null]]))),
          l.closed ? card('Closed', h('div', { class: 'body' }, facts([['As', word(l.closed.as)], ['By', l.closed.by], ['When', when(l.closed.at)], ['Why', l.closed.why], ['Operation', l.closed.operation ? h('a', { class: 'mono', href: link('operation', { id: l.closed.operation }) }, l.closed.operation) : null], ['New event', l.closed.event_id ? h('span', { class: 'mono' }, l.closed.event_id) : null], ['Gone for good', isSet(l.closed.purge_at) ? when(l.closed.purge_at) : null]]))) : null,
          isSet(l.snoozed_until) ? card('Snoozed', h('div', { class: 'body' }, 'Until ', when(l.snoozed_until))) : null,
          card('Headers', l.headers && Object.keys(l.headers).length ? h('div', { class: 'body' }, facts(Object.entries(l.headers).sort().map(([k, v]) => [k, h('span', { class: 'mono' }, v)]))) : h('div', { class: 'body dim' }, 'None')))),
    ];
  },
};

function stack(l, p) {
  const mine = new Set(l.user_frames || []);
  const lines = l.stack.trimEnd().split('\n');
  const rows = lines.map((text, i) => ({ text, mine: mine.has(i), fn: !text.startsWith('\t') }));
  const only = mine.size && !p.stack;
  const shown = only ? rows.filter((r) => r.mine) : rows;
  return [h('pre', { class: 'code wrapped trace', tabindex: '0', 'aria-label': 'Stack' }, shown.map((r) => h('span', { class: 'frame-line' + (r.mine ? ' mine' : '') + (r.fn ? ' fn' : '') }, r.text + '\n'))),
    only && shown.length < lines.length ? h('div', { class: 'pager' }, h('span', {}, `${num((lines.length - shown.length) >> 1)} frames of libraries and the runtime are left out`)) : null];
}

const maxText = 256 << 10;
function payload(l, p) {
  if (!l.payload) return card('Payload', h('div', { class: 'body dim' }, l.payload_error || 'Empty'));
  const data = fromBase64(l.payload);
  const text = asText(data);
  const json = text !== null && isJSON(text);
  const view = p.view || (json ? 'pretty' : text !== null ? 'raw' : 'hex');
  const kinds = [json && ['pretty', 'Pretty'], text !== null && ['raw', 'Raw'], ['hex', 'Hex']].filter(Boolean);
  let shown = view === 'hex' ? hex(data) : view === 'pretty' && json ? pretty(text) : text;
  const cut = shown.length > maxText;
  if (cut) shown = shown.slice(0, maxText);
  return card(h('span', {}, 'Payload ', h('span', { class: 'faint' }, `${l.content_type || 'unknown encoding'}, ${bytes(data.length)}`)),
    [l.payload_error ? h('div', { class: 'body' }, h('div', { class: 'note' }, l.payload_error)) : null, h('pre', { class: 'code' + (view === 'raw' ? ' wrapped' : ''), tabindex: '0', 'aria-label': 'Payload' }, view === 'pretty' ? colored(shown) : shown), cut ? h('div', { class: 'pager' }, `The first ${bytes(maxText)} are shown.`) : null],
    h('div', { class: 'tabs', role: 'navigation', 'aria-label': 'How the payload is shown' }, kinds.map(([v, t]) => h('a', { key: v, href: link('letter', { ...p, view: v }), 'aria-current': v === view ? 'true' : null }, t))),
    button('Copy', () => copy(text ?? hex(data), 'Payload'), { kind: 'small' }), button('Download', () => download(l.id, data), { kind: 'small' }));
}
function download(id, data) {
  const url = URL.createObjectURL(new Blob([data]));
  const a = h('a', { href: url, download: id + '.payload' });
  document.body.append(a);
  a.click();
  a.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function diffCard(l, diff, p, others) {
  if (!others.length && !p.with) return null;
  const tools = h('label', { class: 'row' }, h('span', { class: 'dim nowrap' }, 'Compare with'), h('select', { value: p.with || '', onchange: (e) => app.go('letter', { ...p, with: e.target.value }) }, h('option', { value: '' }, 'no letter'), p.with && !others.some((o) => o.id === p.with) ? h('option', { value: p.with }, p.with) : null, others.map((o) => h('option', { value: o.id }, `${o.id} (${word(o.state)})`))));
  let body = null;
  if (diff?.err) body = h('div', { class: 'body' }, problem(diff.err));
  else if (diff?.withheld) body = h('div', { class: 'body dim' }, 'What they hold is withheld.');
  else if (diff) body = diff.diff.length ? diffTable(diff.diff, ['That letter', 'This letter']) : h('div', { class: 'body dim' }, 'Payloads and headers are the same.');
  return card('Difference', body, tools);
}

function attempts(l) {
  if (!l.attempts?.length) return null;
  const left = l.attempt_count - l.attempts.length;
  return card(h('span', {}, 'Attempts ', h('span', { class: 'faint' }, left > 0 ? `the first and the last ${l.attempts.length - 1} of ${num(l.attempt_count)}` : num(l.attempt_count))),
    h('div', { class: 'scroll' }, h('table', { class: 'fold-rows' }, h('thead', {}, h('tr', {}, h('th', { class: 'num' }, '#'), h('th', {}, 'Started'), h('th', { class: 'num' }, 'Took'), h('th', {}, 'Ended with'))),
      h('tbody', {}, l.attempts.map((a, i) => h('tr', { key: i }, h('td', { class: 'num', 'data-name': 'attempt' }, a.redrive ? `${a.redrive}.${a.number}` : a.number), h('td', {}, whenFull(a.started)), h('td', { class: 'num', 'data-name': 'took' }, span(a.duration_ns)), h('td', { class: 'wide' }, a.cause ? plain(a.cause) : null, ' ', h('span', { class: 'error-text' }, a.error))))))));
}

function history(l) {
  if (!l.redrives?.length) return null;
  return card('Redrives', h('div', { class: 'scroll' }, h('table', { class: 'fold-rows' }, h('thead', {}, h('tr', {}, h('th', { class: 'num' }, '#'), h('th', {}, 'By'), h('th', {}, 'Started'), h('th', {}, 'Budget'), h('th', {}, 'Outcome'))),
    h('tbody', {}, l.redrives.map((r) => h('tr', { key: r.number }, h('td', { class: 'num', 'data-name': 'redrive' }, r.number), h('td', { class: 'break' }, r.by || '–'), h('td', {}, when(r.started_at)), h('td', {}, r.budget ? plural(r.budget, 'attempt') : 'fresh'), h('td', { class: 'wide' }, r.outcome ? tag(r.outcome) : tag('redriving', r.errand ? 'waits for a member' : 'runs'), ' ', r.member ? h('span', { class: 'faint mono' }, 'at ' + r.member, ' ') : null, h('span', { class: 'error-text' }, r.error))))))));
}
