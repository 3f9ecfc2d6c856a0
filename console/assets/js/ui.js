// Parts that pages share.
import { h, morph, icons } from './dom.js';
import { num, letters } from './format.js';
import { app } from './app.js';

// Words about states, and how much they need a person.
const tones = {
  open: 'red', redriving: 'blue', resolved: 'green', archived: '', deleted: '',
  new: 'red', regressed: 'red', acknowledged: '',
  running: 'green', idle: 'green', passive: '', starting: 'blue', retry_wait: 'amber', restarting: 'amber', backoff: 'amber', paused: 'blue',
  cooldown: 'amber', escalated: 'red', hung: 'red', dead_letters_full: 'red', draining: 'amber', stopped: '', gone: 'red',
  done: 'green', failed: 'red', left: 'amber', in_doubt: 'amber', issued: 'blue', pending: '', cancelled: '', skipped: 'green', aborted: 'amber',
};
const words = { retry_wait: 'waits to retry', dead_letters_full: 'letters full', in_doubt: 'in doubt', passive: 'asleep', cooldown: 'cooling down' };
export const word = (s) => words[s] || String(s || '').replaceAll('_', ' ');

export function tag(state, text, extra) {
  return h('span', { class: `tag ${tones[state] ?? ''} ${extra || ''}` }, text || word(state));
}
// An operation's "running" and "stopped" mean other things than a subscriber's.
export function opTag(state) {
  const tone = { running: 'blue pulse', paused: 'amber', stopped: 'red', done: 'green', cancelled: '' }[state] || '';
  return h('span', { class: 'tag ' + tone }, word(state));
}
export const plain = (text, tone) => h('span', { class: 'tag plain square ' + (tone || '') }, text);

export function button(text, onclick, opts = {}) {
  const { kind = '', key, disabled, title, label, type = 'button' } = opts;
  return h('button', { type, class: 'btn ' + kind, onclick, disabled, title, 'aria-label': label, 'aria-keyshortcuts': key }, text, key ? h('kbd', { 'aria-hidden': 'true' }, key) : null);
}
export const card = (title, body, ...tools) => h('section', { class: 'card' }, title ? h('header', {}, h('h2', {}, title), tools) : null, body);
export const field = (label, input, hint) => h('label', { class: 'field' }, h('span', {}, label), input, hint ? h('small', {}, hint) : null);
export const facts = (rows, cls) => h('dl', { class: 'facts ' + (cls || '') }, rows.filter((r) => r && r[1] !== null && r[1] !== undefined && r[1] !== '').map(([k, v]) => [h('dt', {}, k), h('dd', {}, v)]));

export function empty(title, text, opts = {}) {
  return h('div', { class: 'empty ' + (opts.slim ? 'slim' : '') }, opts.icon ? icons[opts.icon]() : null, h('b', {}, title), text ? h('p', {}, text) : null, opts.actions ? h('div', { class: 'row wrap' }, opts.actions) : null);
}
export const bones = (n = 6) => h('div', { class: 'card', 'aria-busy': 'true', 'aria-label': 'Loading' }, Array.from({ length: n }, (_, i) => h('div', { class: 'bone', css: { width: [72, 54, 88, 63, 79, 47][i % 6] + '%' } })));

export function problem(err, retry) {
  return h('div', { class: 'error-box', role: 'alert' }, h('b', {}, err.message), err.fix ? h('p', {}, sentence(err.fix)) : null, retry ? h('div', {}, button('Try again', retry, { kind: 'small' })) : null);
}
export const sentence = (s) => (s ? s[0].toUpperCase() + s.slice(1) + (/[.!?]$/.test(s) ? '' : '.') : '');

// link is an address of a page, with all its state.
export function link(page, params) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(params || {})) if (v !== undefined && v !== null && v !== '' && v !== false) q.set(k, v);
  const s = q.toString();
  return '#/' + page + (s ? '?' + s : '');
}

export function toast(text, opts = {}) {
  const node = h('div', { class: 'toast ' + (opts.bad ? 'bad' : '') }, h('span', {}, text), opts.action ? h('button', { type: 'button', onclick: () => (node.remove(), opts.action[1]()) }, opts.action[0]) : null);
  const all = document.getElementById('toasts');
  while (all.childElementCount > 2) all.firstElementChild.remove();
  all.append(node);
  setTimeout(() => node.remove(), opts.action ? 12000 : opts.bad ? 9000 : 4000);
}
export const say = (text) => (document.getElementById('live').textContent = text);
export const failed = (err) => err.name !== 'AbortError' && toast(err.message + (err.fix ? ' – ' + sentence(err.fix) : ''), { bad: true });

// copy works without a secure context, too: then the text is shown to be copied.
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(what + ' copied');
  } catch {
    const area = h('textarea', { readonly: true, rows: 10, class: 'mono', value: text, 'aria-label': what });
    dialog({ title: 'Copy: ' + what, body: () => [h('p', { class: 'dim' }, 'This page may not write to the clipboard here. Press Ctrl+C.'), area], actions: (d) => button('Close', d.close) });
    area.select();
  }
}

// dialog shows a modal dialog; the browser keeps the focus in it, closes it on
// Escape and gives the focus back. body and actions are called again on update.
export function dialog({ title, sub, wide, body, actions, submit }) {
  const id = 'd' + Math.random().toString(36).slice(2);
  const back = document.activeElement;
  const node = h('dialog', { class: wide ? 'wide' : '', 'aria-labelledby': id });
  const form = h('form', { method: 'dialog', onsubmit: (e) => (e.preventDefault(), submit && submit(d)) });
  node.append(form);
  const d = {
    node,
    close: () => node.open && node.close(),
    update: () =>
      morph(
        form,
        h('header', {}, h('div', {}, h('h2', { id }, typeof title === 'function' ? title() : title), sub ? h('p', { class: 'dim' }, typeof sub === 'function' ? sub() : sub) : null), button('×', d.close, { kind: 'bare small', label: 'Close' })),
        h('div', { class: 'content' }, body(d)),
        actions ? h('footer', {}, actions(d)) : null,
      ),
    closed: null,
  };
  d.done = new Promise((resolve) =>
    node.addEventListener('close', () => {
      node.remove();
      if (back && back.isConnected) back.focus({ preventScroll: true });
      resolve();
    }),
  );
  document.body.append(node);
  d.update();
  node.showModal();
  const first = node.querySelector('[autofocus]') || node.querySelector('.content input:not([type=hidden]), .content textarea, .content select');
  if (first) first.focus();
  return d;
}

// nameField asks who somebody is, if the server does not know.
export const me = { name: localStorage.getItem('troupe.name') || '' };
export function whoWhy(state, update, why) {
  return [
    app.about.named
      ? null
      : field('Your name', h('input', { type: 'text', name: 'by', value: me.name, maxlength: 80, autocomplete: 'name', oninput: (e) => (localStorage.setItem('troupe.name', (me.name = e.target.value)), update && update()) }), 'Goes to the audit trail, marked as unverified.'),
    field('Why', h('input', { type: 'text', name: 'why', value: state.why || '', maxlength: 500, placeholder: why || 'For whoever reads the audit trail', oninput: (e) => (state.why = e.target.value) })),
  ];
}
export const by = (state) => ({ name: me.name, why: state.why || '' });

// host names what is about to be changed.
export const host = () => [app.about.environment, app.about.name, app.about.node].filter(Boolean).join(' · ');

// confirmCount asks for the number of letters before they are destroyed.
export function confirmCount({ title, text, count, verb, danger = true, extra, run }) {
  const state = { typed: '', why: '', busy: false, err: null };
  return dialog({
    title,
    sub: 'On ' + host(),
    submit: go,
    body: (d) => [
      text ? h('p', {}, text) : null,
      extra ? extra(d, state) : null,
      danger
        ? field(`Type ${count} to confirm`, h('input', { type: 'text', name: 'confirm', inputmode: 'numeric', autocomplete: 'off', autofocus: true, value: '', oninput: (e) => ((state.typed = e.target.value.replace(/[\s,.]/g, '')), d.update()) }), `${letters(count)} on ${host()}`)
        : null,
      whoWhy(state),
      state.err ? problem(state.err) : null,
    ],
    actions: (d) => [button('Cancel', d.close), button(state.busy ? 'Working…' : `${verb} ${letters(count)}`, null, { kind: 'main ' + (danger ? 'danger' : ''), type: 'submit', disabled: state.busy || (danger && state.typed !== String(count)) })],
  });
  async function go(d) {
    if (state.busy || (danger && state.typed !== String(count))) return;
    state.busy = true;
    state.err = null;
    d.update();
    try {
      await run(state);
      d.close();
    } catch (err) {
      state.busy = false;
      state.err = err;
      d.update();
    }
  }
}

// spark draws counts as bars.
export function spark(counts, label, width = 120, height = 22) {
  const n = counts.length || 1, top = Math.max(1, ...counts), w = width / n;
  return h('svg', { class: 'spark', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': label },
    counts.map((c, i) => {
      const tall = c ? Math.max(2.5, (c / top) * height) : 1;
      return h('rect', { x: (i * w + 0.5).toFixed(2), y: (height - tall).toFixed(2), width: Math.max(1, w - 1).toFixed(2), height: tall.toFixed(2), rx: 0.8, class: c ? '' : 'none' });
    }));
}

const many = (what, n) => (n === 1 ? what : what.endsWith('y') ? what.slice(0, -1) + 'ies' : what + 's');

// pager goes on with the next page of a list.
export function pager({ shown, total, partial, next, hidden, what = 'letter', withheld }) {
  const parts = [partial ? `${num(shown)} of ${num(total)} ${many(what, 2)} or more, which are being counted` : `${num(shown)} of ${num(total)} ${many(what, total)}`];
  if (hidden) parts.push(`${num(hidden)} of topics that you may not see`);
  if (withheld) parts.push(`${num(withheld)} without payload and errors, which you may not see`);
  const after = app.params.after;
  return h('nav', { class: 'pager', 'aria-label': 'Pages' }, h('span', { class: 'tabular' }, parts.join(' · ')),
    h('span', { class: 'row' }, after ? h('a', { class: 'btn small', href: link(app.page, { ...app.params, after: '' }) }, 'First page') : null, next ? h('a', { class: 'btn small', href: link(app.page, { ...app.params, after: next }), rel: 'next' }, 'Next page') : null));
}

// offsetPager is for lists that are counted.
export function offsetPager({ shown, total, limit, what }) {
  const offset = Number(app.params.offset || 0);
  const to = (o) => link(app.page, { ...app.params, offset: o || '' });
  return h('nav', { class: 'pager', 'aria-label': 'Pages' }, h('span', { class: 'tabular' }, total ? `${num(offset + 1)}–${num(offset + shown)} of ${num(total)} ${total === 1 ? what : what + 's'}` : `no ${what}s`),
    h('span', { class: 'row' }, offset > 0 ? h('a', { class: 'btn small', href: to(Math.max(0, offset - limit)) }, 'Previous') : null, offset + shown < total ? h('a', { class: 'btn small', href: to(offset + limit), rel: 'next' }, 'Next') : null));
}

// menu is a list of actions behind a button.
export function menu(text, items) {
  return h('details', { class: 'menu', onfocusout: (e) => { if (!e.currentTarget.contains(e.relatedTarget)) e.currentTarget.open = false; }, onkeydown: (e) => { if (e.key === 'Escape') { e.currentTarget.open = false; e.currentTarget.querySelector('summary').focus(); e.stopPropagation(); } } },
    h('summary', { class: 'btn' }, text, ' ▾'),
    h('ul', {}, items.filter(Boolean).map((i) => h('li', {}, h('button', { type: 'button', class: i.danger ? 'danger' : '', onclick: (e) => { e.currentTarget.closest('details').open = false; i.run(); } }, i.text)))));
}
