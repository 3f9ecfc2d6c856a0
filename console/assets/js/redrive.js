// The plan of a redrive: what it would do is shown before it can begin.
import { h } from './dom.js';
import { get, post } from './api.js';
import { app } from './app.js';
import { letters, num, plural, span } from './format.js';
import { button, by, dialog, field, host, link, problem, tag, toast, whoWhy, copy } from './ui.js';
import { diffTable } from './diff.js';

const shell = (s) => (/^[\w.:/@=*-]+$/.test(s) ? s : `'${s.replaceAll("'", `'\\''`)}'`);

export function scopeWords(scope) {
  if (scope.group) return `group ${scope.group}`;
  if (scope.query) return scope.query === '*' ? 'all letters' : `what matches ${scope.query}`;
  return scope.ids.length === 1 ? `letter ${scope.ids[0]}` : letters(scope.ids.length);
}
export const scopeFlags = (scope) => (scope.group ? `--group ${shell(scope.group)}` : scope.query ? `--query ${shell(scope.query)}` : scope.ids.slice(0, 3).join(' ') + (scope.ids.length > 3 ? ' …' : ''));

const parseSteps = (text) => text.split(/[\s,→%]+/).filter(Boolean).map(Number);

export function redriveDialog(scope, n, done, preset = {}) {
  const many = n > 1;
  const s = {
    budget: 'one', attempts: 1, rate: '', canary: n >= 20, steps: '1, 5, 20, 100', max: '10', fix: '', rehearse: false, topic: '', subscriber: '', why: '',
    preview: null, err: null, fixes: [], samples: null, busy: false, ...preset,
  };
  const plan = () => {
    const r = { scope, budget: s.budget === 'fresh' ? 0 : Number(s.attempts) || 1 };
    if (s.rate !== '') r.rate = Number(s.rate);
    if (s.canary && many) {
      r.steps = parseSteps(s.steps);
      if (s.max !== '') r.max_failures = Number(s.max) === 100 ? -1 : Number(s.max);
    }
    if (s.fix) r.fix = s.fix;
    if (s.rehearse) r.rehearse = true;
    if (s.topic || s.subscriber) r.to = { ...(s.topic && { topic: s.topic }), ...(s.subscriber && { subscriber: s.subscriber }) };
    return r;
  };
  let timer = 0, asked = null, request = 0;
  const ask = (d) => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      asked?.abort();
      asked = new AbortController();
      const mine = ++request;
      s.stale = true;
      d.update();
      try {
        const p = await post('redrive/preview', { redrive: plan() }, asked.signal);
        if (mine !== request) return;
        s.preview = p;
        s.err = null;
      } catch (err) {
        if (mine !== request || err.name === 'AbortError') return;
        s.err = err;
        s.preview = null;
      }
      s.stale = false;
      d.update();
    }, 150);
  };
  const change = (d, fields) => {
    Object.assign(s, fields);
    d.update();
    ask(d);
  };
  const sample = async (d) => {
    s.samples = null;
    if (!s.fix) return d.update();
    try {
      s.samples = (await post('fix/preview', { name: s.fix, scope, n: 3 })).samples;
    } catch (err) {
      s.samples = [{ letter: '', error: err.message }];
    }
    d.update();
  };
  const go = async (d) => {
    if (!ready()) return;
    s.busy = true;
    s.err = null;
    d.update();
    try {
      const op = await post('redrive', { by: by(s), redrive: plan() });
      d.close();
      done?.();
      toast(`Redrive of ${letters(op.total)} has begun`);
      app.go('operation', { id: op.id });
    } catch (err) {
      s.busy = false;
      s.err = err;
      d.update();
    }
  };
    const ready = () => s.preview && !s.stale && !s.busy && count() > 0;
  // The operation is over all of the scope; what it can send is what counts here.
  const count = () => (s.preview ? Math.max(0, s.preview.total - s.preview.left) : 0);

  const command = () => {
    const r = plan();
    return `troupe ${r.fix ? `fix ${shell(r.fix)}` : 'redrive'} ${scopeFlags(scope)} --attempts ${r.budget || 0}${r.rate ? ` --rate ${r.rate}` : ''}${r.steps ? ` --steps ${r.steps.join(',')} ${r.max_failures < 0 ? '--never-stop' : `--max-failures ${r.max_failures ?? 10}`}` : ''}${r.rehearse ? ' --rehearse' : ''}${r.to ? ` --to ${shell([r.to.topic, r.to.subscriber].filter(Boolean).join('/'))}` : ''}`;
  };

  const d = dialog({
    title: s.fix || preset.fixing ? 'Fix and redrive' : 'Redrive', sub: `${scopeWords(scope)} · ${host()}`, wide: many, submit: go,
    body: (d) => [
      previewBox(s),
      s.err ? problem(s.err) : null,
      h('div', { class: 'pair' },
        h('fieldset', { class: 'plan' }, h('legend', { class: 'label' }, 'Attempts for each letter'),
          radio('budget', 'one', s.budget, 'One attempt', 'Fails at once if it fails again. For trying.', () => change(d, { budget: 'one', attempts: 1 })),
          radio('budget', 'fresh', s.budget, 'Fresh budget', 'As many attempts as a new event gets.', () => change(d, { budget: 'fresh' }))),
        h('div', { class: 'stack' },
          field('Letters per second', h('input', { type: 'number', name: 'rate', min: '0', step: 'any', value: s.rate, placeholder: 'no limit but the mailbox', oninput: (e) => change(d, { rate: e.target.value }) }), 'Can be changed while it runs'),
          s.fixes.length || s.fix ? field('Fix each payload first', h('select', { name: 'fix', value: s.fix, onchange: (e) => (change(d, { fix: e.target.value }), sample(d)) }, h('option', { value: '' }, 'no, as they are'), s.fixes.map((f) => h('option', { value: f.name }, f.about ? `${f.name}: ${f.about}` : f.name)))) : preset.fixing ? h('p', { class: 'note' }, 'No fix is registered. Register functions with ops.Config.Fixes.') : null)),
      s.samples ? fixSamples(s.samples) : null,
      many ? h('fieldset', { class: 'plan' }, h('legend', { class: 'visually-hidden' }, 'In steps'),
        h('label', { class: 'choice' }, h('input', { type: 'checkbox', name: 'canary', checked: s.canary, onchange: (e) => change(d, { canary: e.target.checked }) }), h('span', {}, h('b', {}, 'In steps'), h('small', {}, 'A few first; goes on only if they succeed, and stops if too many fail.'))),
        s.canary ? h('div', { class: 'pair' },
          field('Steps, in percent of all', h('input', { type: 'text', name: 'steps', value: s.steps, inputmode: 'decimal', oninput: (e) => change(d, { steps: e.target.value }) })),
          field('Stop when more than this percent of a step fail', h('input', { type: 'number', name: 'max', min: '0', max: '100', step: 'any', value: s.max, oninput: (e) => change(d, { max: e.target.value }) }))) : null) : null,
      h('details', { class: 'fold' }, h('summary', { class: 'dim' }, 'Elsewhere, or as a rehearsal'), h('div', { class: 'stack folded' },
        h('div', { class: 'pair' }, field('To topic', h('input', { type: 'text', name: 'to-topic', value: s.topic, placeholder: 'as before', oninput: (e) => change(d, { topic: e.target.value.trim() }) })),
          field('To subscriber', h('input', { type: 'text', name: 'to-sub', value: s.subscriber, placeholder: s.topic ? 'all of the topic' : 'the one that failed', oninput: (e) => change(d, { subscriber: e.target.value.trim() }) }))),
        h('label', { class: 'choice' }, h('input', { type: 'checkbox', name: 'rehearse', checked: s.rehearse, onchange: (e) => change(d, { rehearse: e.target.checked }) }), h('span', {}, 'Rehearse', h('small', {}, 'Calls the handler, if it allows that, and leaves the letters as they are.'))))),
      h('div', { class: 'pair' }, whoWhy(s, null, 'Such as: the timeout is fixed in v1.4.2')),
      h('div', { class: 'command' }, h('code', {}, command()), button('Copy', () => copy(command(), 'Command'), { kind: 'small bare' })),
    ],
    actions: (d) => [button('Cancel', d.close), button(s.busy ? 'Beginning…' : s.preview ? `${s.rehearse ? 'Rehearse' : 'Redrive'} ${letters(count())}` : 'Redrive', null, { kind: 'main', type: 'submit', disabled: !ready() })],
  });
  ask(d);
  get('fixes').then((f) => ((s.fixes = f.fixes), preset.fixing && f.fixes.length && !s.fix ? ((s.fix = f.fixes[0].name), ask(d), sample(d)) : null, d.update())).catch(() => {});
  return d;
}

export const fixDialog = (scope, n) => redriveDialog(scope, n, null, { fixing: true });

const radio = (name, value, now, title, about, pick) => h('label', { class: 'choice' }, h('input', { type: 'radio', name, value, checked: now === value, onchange: pick }), h('span', {}, title, h('small', {}, about)));

// previewBox says in words what would happen.
function previewBox(s) {
  const p = s.preview;
  if (!p) return s.err ? null : h('div', { class: 'preview note calm', 'aria-busy': 'true' }, 'Looking what this would do…');
  const again = Object.entries(p.redriven || {}).filter(([n, k]) => Number(n) > 0 && k);
  const left = [];
  if (!s.rehearse && p.total - p.open > 0) left.push(`${letters(p.total - p.open)} not open: left alone`);
  if (p.gone) left.push(`${letters(p.gone)} whose subscriber is gone: left alone`);
  if (p.undecodable) left.push(`${letters(p.undecodable)} whose payload does not decode: left alone`);
  return h('div', { class: 'preview', role: 'status', 'aria-busy': s.stale ? 'true' : 'false' },
    h('div', {}, h('span', { class: 'total tabular' }, letters(p.total)), h('span', { class: 'dim' }, ` · ${p.budget}${p.estimate_ns ? ` · takes about ${span(p.estimate_ns)}` : ''}`)),
    p.subscribers.length ? h('table', {}, h('thead', {}, h('tr', {}, h('th', {}, 'Goes to'), h('th', {}, 'Now'), h('th', { class: 'num' }, 'Letters'))), h('tbody', {}, p.subscribers.slice(0, 12).map((c) => h('tr', { key: c.topic + '/' + c.subscriber }, h('td', { class: 'break' }, c.subscriber || 'all subscribers', h('span', { class: 'second' }, ' on ', c.topic)), h('td', {}, tag(c.state)), h('td', { class: 'num' }, num(c.count)))))) : null,
    p.subscribers.length > 12 ? h('div', { class: 'dim' }, `and ${plural(p.subscribers.length - 12, 'other subscriber')}`) : null,
    p.subscribers.some((c) => c.state === 'paused') ? h('div', { class: 'note' }, 'A subscriber is paused: its letters wait in its mailbox until it is resumed.') : null,
    again.length ? h('div', { class: 'note' }, again.map(([n, k]) => `${letters(k)} redriven ${n === '1' ? 'once' : n + ' times'} already`).join(', ') + '.') : null,
    left.length ? h('div', { class: 'note' }, left.map((t) => h('div', {}, t)), p.examples?.length ? h('details', {}, h('summary', {}, 'Examples'), h('ul', {}, p.examples.map((x) => h('li', {}, h('span', { class: 'mono' }, x.letter), ' ', x.why)))) : null) : null);
}

function fixSamples(samples) {
  return h('div', { class: 'stack' }, h('span', { class: 'label' }, 'What the fix makes of the first letters'),
    samples.length ? samples.map((x) => h('div', { class: 'card' }, h('header', {}, h('span', { class: 'mono clip' }, x.letter)), x.error ? h('div', { class: 'body problem' }, x.error) : x.diff?.length ? diffTable(x.diff) : h('div', { class: 'body dim' }, 'It changes nothing.'))) : h('span', { class: 'dim' }, 'No letters.'));
}
