// The field for the query language, with completion by the server.
import { h, icons } from './dom.js';
import { get } from './api.js';
import { app } from './app.js';

const state = { from: 0, to: 0, options: [], at: -1, text: null, timer: 0, asked: null };

// cursors count bytes on the server and UTF-16 units here.
const byteAt = (text, at) => new TextEncoder().encode(text.slice(0, at)).length;
// unitsTo is the text before a byte.
const unitsTo = (text, at) => new TextDecoder().decode(new TextEncoder().encode(text).slice(0, at));
const unitAt = (text, column) => [...text].slice(0, Math.max(0, column - 1)).join('').length;

export function queryField({ value, onsubmit, error, placeholder = 'topic:orders.* reason:panic age:>1h "free text"' }) {
  const open = state.options.length > 0;
  const set = (input, text) => {
    input.value = text;
    input.$typed = text;
  };
  const hide = () => {
    state.options = [];
    state.at = -1;
    app.render();
  };
  const ask = (input) => {
    clearTimeout(state.timer);
    state.timer = setTimeout(async () => {
      state.asked?.abort();
      state.asked = new AbortController();
      const text = input.value;
      try {
        const found = await get('complete', { query: text, at: byteAt(text, input.selectionStart) }, state.asked.signal);
        if (document.activeElement !== input || input.value !== text) return;
        state.options = found.words.slice(0, 12);
        Object.assign(state, { from: found.from, to: found.to });
        state.at = -1;
        app.render();
      } catch {
        // A query that cannot be completed is no failure of anything.
      }
    }, 120);
  };
  const take = (input, option) => {
    const head = unitsTo(input.value, state.from) + option;
    set(input, head + input.value.slice(unitsTo(input.value, state.to).length));
    input.setSelectionRange(head.length, head.length);
    hide();
    ask(input);
  };
  const onkeydown = (e) => {
    const input = e.currentTarget;
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      if (!open) return ask(input);
      e.preventDefault();
      const n = state.options.length;
      state.at = e.key === 'ArrowDown' ? (state.at + 1) % n : (state.at <= 0 ? n : state.at) - 1;
      app.render();
    } else if (e.key === 'Enter') {
      e.preventDefault();
      if (open && state.at >= 0) take(input, state.options[state.at]);
      else {
        clearTimeout(state.timer); // what may follow is not wanted any more
        state.asked?.abort();
        state.options = [];
        onsubmit(input.value.trim());
      }
    } else if (e.key === 'Tab' && open && !e.shiftKey) {
      e.preventDefault();
      take(input, state.options[Math.max(0, state.at)]);
    } else if (e.key === 'Escape') {
      e.stopPropagation();
      if (open) hide();
      else input.blur();
    }
  };
  return h('div', { class: 'query-box grow', key: 'query' },
    h('div', { class: 'query', role: 'search' }, icons.search(),
      h('input', {
        type: 'text', id: 'query', value: value || '', placeholder, spellcheck: 'false', autocomplete: 'off', autocapitalize: 'off', role: 'combobox', 'aria-label': 'Query',
        'aria-expanded': open ? 'true' : 'false', 'aria-controls': 'query-options', 'aria-autocomplete': 'list', 'aria-invalid': error ? 'true' : null, class: error ? 'invalid' : '',
        'aria-activedescendant': state.at >= 0 ? 'query-option-' + state.at : null, onkeydown,
        oninput: (e) => ask(e.currentTarget), onblur: () => setTimeout(() => open && hide(), 150),
      }),
      h('span', { class: 'hint' }, value ? h('button', { type: 'button', class: 'btn bare small', 'aria-label': 'Clear the query', onclick: () => onsubmit('') }, '×') : h('kbd', { 'aria-hidden': 'true' }, '/')),
      open ? h('ul', { class: 'options', id: 'query-options', role: 'listbox', 'aria-label': 'What may follow' }, state.options.map((o, i) =>
        h('li', { id: 'query-option-' + i, role: 'option', 'aria-selected': i === state.at ? 'true' : 'false', onmousedown: (e) => (e.preventDefault(), take(document.getElementById('query'), o)) }, o))) : null),
    error ? h('div', { class: 'query-problem', role: 'alert' }, h('div', {}, error.message), error.column > 0 && value ? h('pre', {}, value + '\n' + ' '.repeat(unitAt(value, error.column)) + '^') : null, error.fix ? h('div', {}, error.fix) : null) : null);
}
