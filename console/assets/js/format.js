// Numbers, times and payloads for people.
import { h } from './dom.js';

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
export const num = (n) => whole.format(n || 0);

// figure is a rate or other number that need not be exact.
export function figure(n) {
  if (!n) return '0';
  if (n < 0.01) return '<0.01';
  if (n < 10) return n.toFixed(n < 1 ? 2 : 1);
  if (n < 10000) return whole.format(n);
  if (n < 1e6) return (n / 1e3).toFixed(n < 1e5 ? 1 : 0) + 'k';
  return (n / 1e6).toFixed(1) + 'M';
}
export const plural = (n, one, many) => `${num(n)} ${n === 1 ? one : many || one + 's'}`;
export const letters = (n) => plural(n, 'letter');

export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) {
    n /= 1024;
    i++;
  }
  return (i && n < 100 ? n.toFixed(1) : String(Math.round(n))) + ' ' + units[i];
}

// span is a duration in nanoseconds.
export function span(ns) {
  if (!ns) return '0';
  const ms = ns / 1e6;
  if (ms < 0.001) return Math.round(ns) + ' ns';
  if (ms < 1) return Math.round(ns / 1e3) + ' µs';
  if (ms < 1000) return (ms < 10 ? ms.toFixed(1) : Math.round(ms)) + ' ms';
  const s = ms / 1000;
  if (s < 60) return (s < 10 ? s.toFixed(1) : Math.round(s)) + ' s';
  const m = s / 60;
  if (m < 60) return Math.floor(m) + ' min' + (m < 10 && Math.round(s % 60) ? ' ' + Math.floor(s % 60) + ' s' : '');
  const hours = m / 60;
  if (hours < 48) return Math.floor(hours) + ' h' + (hours < 10 && Math.floor(m % 60) ? ' ' + Math.floor(m % 60) + ' min' : '');
  return Math.floor(hours / 24) + ' d';
}

// Times: local or UTC, by the user's choice.
export const clock = { utc: localStorage.getItem('troupe.utc') === 'true' };
export const isSet = (t) => Boolean(t) && !t.startsWith('0001-');
const pad = (n, l = 2) => String(n).padStart(l, '0');

export function parts(date) {
  return clock.utc
    ? [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds(), date.getUTCMilliseconds()]
    : [date.getFullYear(), date.getMonth() + 1, date.getDate(), date.getHours(), date.getMinutes(), date.getSeconds(), date.getMilliseconds()];
}
export function zone(date = new Date()) {
  if (clock.utc) return 'UTC';
  const m = -date.getTimezoneOffset();
  return 'UTC' + (m === 0 ? '' : (m < 0 ? '−' : '+') + pad(Math.floor(Math.abs(m) / 60)) + (m % 60 ? ':' + pad(Math.abs(m) % 60) : ''));
}
export function full(t, milli) {
  const [y, mo, d, hh, mi, s, ms] = parts(new Date(t));
  return `${y}-${pad(mo)}-${pad(d)} ${pad(hh)}:${pad(mi)}:${pad(s)}${milli ? '.' + pad(ms, 3) : ''}`;
}
function short(t) {
  const date = new Date(t), now = parts(new Date()), [y, mo, d, hh, mi, s] = parts(date);
  if (y === now[0] && mo === now[1] && d === now[2]) return `${pad(hh)}:${pad(mi)}:${pad(s)}`;
  return (y === now[0] ? '' : y + '-') + `${pad(mo)}-${pad(d)} ${pad(hh)}:${pad(mi)}`;
}
export function ago(t, at = Date.now()) {
  const s = Math.max(0, (at - new Date(t).getTime()) / 1000);
  if (s < 5) return 'just now';
  if (s < 60) return Math.floor(s) + ' s ago';
  if (s < 3600) return Math.floor(s / 60) + ' min ago';
  if (s < 48 * 3600) return Math.floor(s / 3600) + ' h ago';
  return Math.floor(s / 86400) + ' d ago';
}
const timeNode = (t, text) => h('time', { datetime: t, title: `${full(t, true)} ${zone(new Date(t))}, ${ago(t)}`, class: 'nowrap' }, text);
export const when = (t) => (isSet(t) ? timeNode(t, short(t)) : h('span', { class: 'faint' }, '–'));
export const whenAgo = (t) => (isSet(t) ? timeNode(t, ago(t)) : h('span', { class: 'faint' }, '–'));
export const whenFull = (t) => (isSet(t) ? h('span', {}, timeNode(t, full(t, true)), h('span', { class: 'faint' }, ' ' + ago(t))) : h('span', { class: 'faint' }, '–'));

// Payloads.
export function fromBase64(text) {
  const raw = atob(text || '');
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}
// asText returns the text, or null if the bytes are not UTF-8 text.
export function asText(data) {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(data);
    // eslint-disable-next-line no-control-regex
    return /[\u0000-\u0008\u000e-\u001f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}
export function isJSON(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const token = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]/g;

// pretty lays JSON out from its tokens, so that every number stays as it was
// written: 9007199254740993 is not 9007199254740992.
export function pretty(text) {
  let out = '', depth = 0, last = '';
  const line = () => '\n' + '  '.repeat(depth);
  const all = text.match(token) || [];
  all.forEach((t, i) => {
    if (t === '{' || t === '[') {
      const close = all[i + 1] === (t === '{' ? '}' : ']');
      out += t;
      if (!close) {
        depth++;
        out += line();
      }
    } else if (t === '}' || t === ']') {
      if (last !== '{' && last !== '[') {
        depth--;
        out += line();
      }
      out += t;
    } else if (t === ',') out += ',' + line();
    else if (t === ':') out += ': ';
    else out += t;
    last = t;
  });
  return out;
}

const shownTokens = 20000;

// colored shows JSON with its parts told apart.
export function colored(text) {
  const nodes = [];
  let end = 0, count = 0;
  for (const m of text.matchAll(token)) {
    if (++count > shownTokens) break;
    if (m.index > end) nodes.push(text.slice(end, m.index));
    end = m.index + m[0].length;
    const t = m[0];
    let kind = '';
    if (t[0] === '"') kind = /^\s*:/.test(text.slice(end, end + 20)) ? 'j-key' : 'j-str';
    else if (/^[-\d]/.test(t)) kind = 'j-num';
    else if (/^[tfn]/.test(t)) kind = 'j-lit';
    nodes.push(kind ? h('span', { class: kind }, t) : t);
  }
  nodes.push(text.slice(end));
  return nodes;
}

const shownBytes = 4096;
export function hex(data) {
  const lines = [];
  for (let i = 0; i < Math.min(data.length, shownBytes); i += 16) {
    const row = data.slice(i, i + 16);
    const codes = [...row].map((b) => b.toString(16).padStart(2, '0'));
    const chars = [...row].map((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : '·')).join('');
    lines.push(i.toString(16).padStart(8, '0') + '  ' + codes.slice(0, 8).join(' ').padEnd(23) + '  ' + codes.slice(8).join(' ').padEnd(23) + '  ' + chars);
  }
  if (data.length > shownBytes) lines.push(`… ${num(data.length - shownBytes)} more bytes`);
  return lines.join('\n');
}
