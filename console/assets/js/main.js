// The frame: routes, what is loaded when, keys, and what happens live.
import { h, morph, icons } from './dom.js';
import { app, may } from './app.js';
import { get, stream } from './api.js';
import { clock, num, zone } from './format.js';
import { bones, button, dialog, link, problem, say } from './ui.js';
import overview from './page-overview.js';
import tree from './page-tree.js';
import topics from './page-topics.js';
import { groups, group } from './page-groups.js';
import { letters, letter } from './page-letters.js';
import { operations, operation } from './page-operations.js';
import audit from './page-audit.js';

const pages = { overview, tree, topics, groups, group, letters, letter, operations, operation, audit };
const nav = [['overview', 'Overview'], ['tree', 'Tree'], ['topics', 'Topics'], ['groups', 'Groups'], ['letters', 'Letters'], ['operations', 'Operations'], ['audit', 'Audit']];

const state = { data: null, error: null, loading: false, abort: null, timer: 0, live: null, faults: [], about: null, failing: 0 };

// Theme: the system's, unless somebody has chosen.
const dark = matchMedia('(prefers-color-scheme: dark)');
function theme() {
  const chosen = localStorage.getItem('troupe.theme');
  document.documentElement.dataset.theme = chosen || (dark.matches ? 'dark' : 'light');
}
dark.addEventListener('change', () => (theme(), app.render()));
theme();

function parse() {
  const [path, search] = location.hash.replace(/^#\/?/, '').split('?');
  const page = Object.hasOwn(pages, path) ? path : 'overview';
  return { page, params: Object.fromEntries(new URLSearchParams(search || '')) };
}

app.go = (page, params, replace) => {
  const to = link(page, params);
  if (replace) {
    history.replaceState(null, '', to);
    navigate();
  } else if (location.hash === to) navigate();
  else location.hash = to;
};

// navigate shows what the address says. What is there stays until the new is.
async function navigate() {
  const { page, params } = parse();
  const other = !state.shown || page !== app.page || pages[page].identity?.(params) !== pages[page].identity?.(app.params);
  if (other || pages[page].rows) {
    app.cursor = -1;
  }
  if (other || params.query !== app.params.query) {
    app.picked.clear();
    app.all = false;
  }
  Object.assign(app, { page, params });
  state.shown = true;
  if (other) {
    state.data = null;
    state.error = null;
    scrollTo(0, 0);
  }
  await load();
  if (other) {
    say(pages[page].title(params, state.data));
    if (!document.querySelector('dialog[open]') && (document.activeElement === document.body || !document.activeElement?.isConnected)) document.getElementById('main-content')?.focus({ preventScroll: true });
  }
}

const rowKey = (r) => r && (r.id || r.fingerprint || r.letter || `${r.topic}\n${r.name}`);

async function load() {
  clearTimeout(state.timer);
  state.abort?.abort();
  const abort = (state.abort = new AbortController());
  const page = pages[app.page], params = app.params;
  state.loading = true;
  app.render();
  try {
    // What takes long is shown as far as it is, unless what is shown is whole.
    const show = (data) => {
      if (abort !== state.abort || (state.data && !state.data.searching && state.of === params)) return;
      state.data = data;
      state.of = params;
      state.error = null;
      app.render();
    };
    const data = await page.load(params, abort.signal, show);
    if (abort !== state.abort) return;
    if (state.data && app.cursor >= 0) {
      // The row that the keyboard is at stays so, wherever it has moved.
      const at = rowKey(page.rows?.(state.data)[app.cursor]);
      const now = page.rows(data).findIndex((r) => rowKey(r) === at);
      app.cursor = now >= 0 ? now : Math.min(app.cursor, page.rows(data).length - 1);
    }
    state.data = data;
    state.of = params;
    state.error = null;
    state.failing = 0;
  } catch (err) {
    if (err.name === 'AbortError' || abort !== state.abort) return;
    state.error = err;
    state.failing++;
  }
  state.loading = false;
  app.render();
  const every = state.error ? Math.min(30000, 2000 * 2 ** state.failing) : page.every;
  if (every && !(state.error && state.error.status >= 400 && state.error.status < 500)) state.timer = setTimeout(() => (document.hidden ? null : load()), every);
}
app.reload = load;

let drawing = false;
app.render = () => {
  if (drawing) return;
  drawing = true;
  queueMicrotask(() => {
    drawing = false;
    draw();
  });
};

function draw() {
  const page = pages[app.page];
  const { about } = app;
  const title = page.title(app.params, state.data);
  document.title = `${title} · ${about.environment ? about.environment + ' · ' : ''}${about.name || 'Troupe'}`;
  const hot = /^(prod|production|live)\b/i.test(about.environment || '');
  let inside;
  if (state.data) inside = [state.error ? h('div', { key: 'stale', class: 'stack' }, problem(state.error, load), h('div')) : null, page.view(state.data, app.params)];
  else if (state.error) inside = state.error.status === 404 ? page.missing?.(app.params) || problem(state.error, load) : problem(state.error, load);
  else inside = bones(8);
  morph(document.getElementById('app'),
    h('aside', { class: 'side', key: 'side' },
      h('div', { class: 'brand' }, h('img', { src: 'icon.svg', alt: '' }), h('div', {}, h('b', { class: 'clip' }, about.name || 'Troupe'), h('span', { class: 'clip', title: about.node }, about.node || ''))),
      about.environment ? h('div', { class: 'env ' + (hot ? 'hot' : ''), title: 'Environment' }, about.environment) : null,
      h('nav', { class: 'nav', 'aria-label': 'Pages' }, h('ul', {}, nav.map(([name, text]) =>
        h('li', {}, h('a', { href: link(name), 'aria-current': name === (page.nav || app.page) ? 'page' : null }, icons[name](), text, count(name)))))),
      h('div', { class: 'side-foot' },
        about.rights.metadata && !may('mutate') && !may('control') ? h('span', {}, 'Read-only') : null,
        about.user ? h('span', { class: 'who' }, 'Signed in as ' + about.user) : null)),
    h('div', { class: 'frame', key: 'frame' },
      h('header', { class: 'top' },
        h('div', { class: 'crumbs' }, crumbs(page, title)),
        h('span', { class: 'grow' }),
        h('span', { class: 'alive ' + (state.live === true ? 'on' : state.live === false ? 'off' : ''), title: state.live === false ? 'Events do not come in; what is shown is asked for every few seconds' : 'What happens is shown as it happens' }, h('span', {}, state.live === false ? 'not live' : 'live')),
        button(zone(), () => (localStorage.setItem('troupe.utc', (clock.utc = !clock.utc)), app.render()), { kind: 'bare small', title: 'Local time or UTC', label: `Times are in ${zone()}; change` }),
        button(document.documentElement.dataset.theme === 'dark' ? '☾' : '☀', flip, { kind: 'bare small', title: 'Dark or light', label: 'Change between dark and light' }),
        button('?', help, { kind: 'bare small', title: 'Keys', label: 'Keyboard shortcuts' }),
        h('div', { class: 'loading ' + (state.loading ? 'on' : ''), 'aria-hidden': 'true' })),
      state.about?.message ? h('div', { class: 'banner', role: 'alert' }, state.about.message) : null,
      state.faults.length && app.page !== 'overview' ? h('a', { class: 'banner', href: link('overview') }, state.faults.length === 1 ? state.faults[0].message : `${state.faults.length} things need a person: ${state.faults[0].message}, …`) : null,
      h('main', { id: 'main-content', tabindex: '-1', key: 'main-' + app.page + (page.identity?.(app.params) || '') }, h('div', { class: 'stack' }, inside))));
  focusSearch();
}

function focusSearch() {
  const field = state.search && (document.getElementById('query') || document.getElementById('filter'));
  if (!field) return;
  state.search = false;
  field.focus();
  field.select();
}

function count(name) {
  const n = app.counts[name];
  return n ? h('span', { class: 'count ' + (name === 'operations' ? '' : 'hot') }, num(n)) : null;
}

function crumbs(page, title) {
  if (!page.nav) return h('span', {}, title);
  return [h('a', { href: link(page.nav) }, nav.find(([n]) => n === page.nav)[1]), h('span', { class: 'sep', 'aria-hidden': 'true' }, '/'), h('span', { class: 'mono' }, title)];
}

function flip() {
  const now = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  if ((now === 'dark') === dark.matches) localStorage.removeItem('troupe.theme');
  else localStorage.setItem('troupe.theme', now);
  theme();
  app.render();
}

// The numbers in the navigation, and what needs a person.
let badgesTimer = 0;
async function badges() {
  clearTimeout(badgesTimer);
  badgesTimer = setTimeout(badges, 15000);
  if (document.hidden) return;
  try {
    const o = await get('overview');
    app.counts = { letters: o.account.open, groups: o.groups_total, operations: o.running?.length || 0 };
    state.faults = o.faults || [];
    app.render();
  } catch {
    // The page itself says what is wrong.
  }
}

async function about() {
  try {
    app.about = await get('about');
    state.about = null;
  } catch (err) {
    state.about = err;
    setTimeout(about, 5000);
  }
  app.render();
}

// Events come in faster than a page should be asked for again.
let due = 0, last = 0;
function happened(e) {
  const page = pages[app.page];
  if (e.kind === 'letter' || e.kind === 'resolved' || e.kind === 'operation' || e.kind === 'lost') {
    clearTimeout(badgesTimer);
    badgesTimer = setTimeout(badges, 1500);
  }
  if (e.kind !== 'lost' && !page.wants?.(e, app.params)) return;
  if (due) return;
  due = setTimeout(() => {
    due = 0;
    last = Date.now();
    load();
  }, Math.max(300, 2000 - (Date.now() - last)));
}

// Keys.
const help = () => dialog({
  title: 'Keyboard', wide: false,
  body: () => h('dl', { class: 'keys' }, [
    ['j', 'next row'], ['k', 'previous row'], ['Enter', 'open the row'], ['x', 'choose the row'], ['Shift X', 'choose all on this page'], ['r', 'redrive'], ['e', 'edit and resend'], ['a', 'archive; acknowledge a group'],
    ['p', 'pause or resume'], ['/', 'search'], ['g o', 'overview'], ['g t', 'tree'], ['g g', 'groups'], ['g l', 'letters'], ['g p', 'operations'], ['g a', 'audit'], ['u', 'up'], ['?', 'this help'], ['Esc', 'close, clear the choice'],
  ].map(([k, text]) => h('div', {}, h('dt', {}, h('kbd', {}, k)), h('dd', {}, text)))),
  actions: (d) => button('Close', d.close, { kind: 'main' }),
});

let prefix = 0;
document.addEventListener('keydown', (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog[open]')) return;
  const inField = /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.nodeName) && !/^(checkbox|radio)$/.test(e.target.type);
  if (inField) return;
  const page = pages[app.page];
  if (Date.now() - prefix < 1200) {
    prefix = 0;
    const to = { o: 'overview', t: 'tree', g: 'groups', l: 'letters', p: 'operations', a: 'audit' }[e.key];
    if (to) {
      e.preventDefault();
      return app.go(to, {});
    }
  }
  const rows = page.rows && state.data ? page.rows(state.data) : [];
  const done = () => {
    e.preventDefault();
    app.render();
  };
  const move = (to) => {
    app.cursor = Math.max(0, Math.min(rows.length - 1, to));
    done();
    queueMicrotask(() => queueMicrotask(() => document.querySelector('tr.at')?.scrollIntoView({ block: 'nearest' })));
  };
  switch (e.key) {
    case 'g': prefix = Date.now(); return;
    case '?': help(); return e.preventDefault();
    case '/': {
      const field = document.getElementById('query') || document.getElementById('filter');
      if (field) {
        field.focus();
        field.select();
      } else {
        state.search = true; // as soon as it is there
        if (!['letters', 'groups', 'tree', 'topics', 'audit'].includes(app.page)) app.go('letters', {});
      }
      return e.preventDefault();
    }
    case 'j': if (rows.length) move(app.cursor + 1); return;
    case 'k': if (rows.length) move(app.cursor - 1); return;
    case 'u': if (page.nav) app.go(page.nav, {}); return;
    case 'Enter': if (e.target.closest('a, button, summary')) return;
  }
  if (state.data && page.keys?.(e, state.data, rows[app.cursor])) done();
});

addEventListener('hashchange', navigate);
document.addEventListener('visibilitychange', () => document.hidden || (load(), badges()));
// The link is to a part of this page, and the part behind # is the address here.
document.getElementById('skip').addEventListener('click', (e) => {
  e.preventDefault();
  document.getElementById('main-content')?.focus();
});

Object.assign(app, parse());
await about();
stream(happened, (on) => {
  if (state.live !== on) {
    state.live = on;
    app.render();
  }
});
navigate();
badges();
setInterval(() => document.hidden || document.querySelector('dialog[open]') || app.render(), 15000);
