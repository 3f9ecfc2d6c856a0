// Edit and resend: another event in place of a letter's.
import { h } from './dom.js';
import { get, post } from './api.js';
import { app } from './app.js';
import { asText, fromBase64, isJSON, pretty } from './format.js';
import { button, by, dialog, failed, field, host, problem, toast, whoWhy } from './ui.js';
import { diffTable } from './diff.js';

export async function editDialog(id) {
  let l;
  try {
    l = await get('letter', { id });
  } catch (err) {
    return failed(err);
  }
  if (l.withheld) return toast('The payload of this letter is withheld from you.', { bad: true });
  const data = fromBase64(l.payload);
  const text = asText(data);
  const json = text !== null && isJSON(text);
  const was = json ? pretty(text) : text;
  const heads = Object.entries(l.headers || {}).sort().map(([k, v]) => `${k}: ${v}`).join('\n');
  const s = { text: was, headers: heads, budget: 'one', why: '', diff: null, err: null, busy: false, problem: '' };
  const headersOf = () => Object.fromEntries(s.headers.split('\n').filter((x) => x.trim()).map((x) => [x.split(':')[0].trim(), x.slice(x.indexOf(':') + 1).trim()]));
  // The payload goes into the request as it is written: a number that JavaScript
  // cannot hold stays what it is.
  const request = (more) => {
    const parts = [];
    if (s.text !== was) parts.push(json ? `"payload":${s.text}` : `"raw":${JSON.stringify(btoa(String.fromCharCode(...new TextEncoder().encode(s.text))))}`);
    if (s.headers !== heads) parts.push(`"headers":${JSON.stringify(headersOf())}`);
    parts.push(`"budget":${s.budget === 'fresh' ? 0 : 1}`);
    return `{${more}"id":${JSON.stringify(id)},"edit":{${parts.join(',')}}}`;
  };
  const check = () => {
    if (json && s.text !== was && !isJSON(s.text)) return 'This is not JSON: ' + why(s.text);
    const odd = s.headers.split('\n').find((x) => x.trim() && !/^[^:\s][^:]*:/.test(x));
    return odd !== undefined ? `This is not a header: ${odd}` : '';
  };
  let timer = 0, turn = 0;
  const preview = (d) => {
    clearTimeout(timer);
    s.problem = check();
    d.update();
    if (s.problem) return;
    timer = setTimeout(async () => {
      const mine = ++turn;
      try {
        const e = await post('edit/preview', request(''));
        if (mine === turn) Object.assign(s, { diff: e.diff, err: null });
      } catch (err) {
        if (mine === turn) Object.assign(s, { err, diff: null });
      }
      d.update();
    }, 200);
  };
  const d = dialog({
    title: 'Edit and resend', sub: `${l.subscriber || l.topic} on ${l.topic} · ${host()}`, wide: true,
    submit: async (d) => {
      if (s.busy || (s.problem = check())) return d.update();
      s.busy = true;
      d.update();
      try {
        const e = await post('edit', request(`"by":${JSON.stringify(by(s))},`));
        d.close();
        toast(`Sent as event ${e.event_id}; the letter is resolved by edit`);
        app.reload();
        setTimeout(app.reload, 700);
      } catch (err) {
        s.busy = false;
        s.err = err;
        d.update();
      }
    },
    body: (d) => [
      h('p', { class: 'dim' }, 'A new event with an ID of its own is sent to the subscriber that failed. This letter stays, as resolved by edit.'),
      text === null ? h('div', { class: 'note' }, 'The payload is not text, and cannot be edited here. Its headers can.') : field('Payload', h('textarea', { class: 'edit-payload' + (s.problem ? ' invalid' : ''), name: 'payload', spellcheck: 'false', autofocus: true, value: s.text, oninput: (e) => ((s.text = e.target.value), preview(d)) })),
      s.problem ? h('div', { class: 'problem', role: 'alert' }, s.problem) : null,
      field('Headers, one a line', h('textarea', { rows: 3, class: 'mono', name: 'headers', spellcheck: 'false', value: s.headers, oninput: (e) => ((s.headers = e.target.value), preview(d)) })),
      s.err ? problem(s.err) : null,
      h('div', { class: 'stack' }, h('span', { class: 'label' }, 'What changes'), s.diff?.length ? diffTable(s.diff) : h('span', { class: 'dim' }, s.text === was && s.headers === heads ? 'Nothing yet.' : 'Nothing.')),
      h('fieldset', { class: 'plan row wrap' }, h('legend', { class: 'label' }, 'Attempts'), ['one', 'fresh'].map((b) => h('label', { class: 'choice' }, h('input', { type: 'radio', name: 'budget', value: b, checked: s.budget === b, onchange: () => ((s.budget = b), d.update()) }), b === 'one' ? 'One attempt' : 'Fresh budget'))),
      h('div', { class: 'pair' }, whoWhy(s)),
    ],
    actions: (d) => [button('Cancel', d.close), button(s.busy ? 'Sending…' : 'Send in its place', null, { kind: 'main', type: 'submit', disabled: s.busy || Boolean(s.problem) })],
  });
}

function why(text) {
  try {
    JSON.parse(text);
  } catch (err) {
    return err.message;
  }
}
