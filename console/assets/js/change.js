// Archive, restore, delete, snooze and resolve.
import { h } from './dom.js';
import { get, post } from './api.js';
import { app } from './app.js';
import { letters, plural } from './format.js';
import { by, confirmCount, failed, field, link, toast } from './ui.js';
import { scopeWords } from './redrive.js';

const kinds = {
  archive: ['Archive', 'Puts them aside, to be kept. Nothing is sent; they can be restored.', 'archived'],
  restore: ['Restore', 'Undoes what closed them last: an archive, a delete, a resolve.', 'restored'],
  delete: ['Delete', 'They go. For a while they can still be restored; after that they are gone for good, with their payloads.', 'deleted'],
  snooze: ['Snooze', 'Hides open letters until then.', 'snoozed'],
  resolve: ['Resolve', 'Says that they have been dealt with by hand. Nothing is sent.', 'resolved'],
};

export async function changeDialog(kind, scope, { n, done } = {}) {
  try {
    // The number is counted now, and confirmed to the server: others may change it.
    const count = scope.ids ? scope.ids.length : (await post('count', { scope })).count;
    if (!count) return toast('There are no letters to ' + kind, { bad: true });
    const [verb, text, past] = kinds[kind];
    const state = { hours: '24' };
    confirmCount({
      title: `${verb} ${letters(count)}?`, text: `${scopeWords(scope)[0].toUpperCase()}${scopeWords(scope).slice(1)}. ${text}`, count, verb, danger: kind === 'delete' || (count > 100 && kind !== 'restore'),
      extra: kind === 'snooze' ? () => field('For how many hours', h('input', { type: 'number', min: '0', step: 'any', name: 'hours', value: state.hours, oninput: (e) => (state.hours = e.target.value) }), '0 ends a snooze') : null,
      run: async (s) => {
        const change = { kind, scope };
        if (kind === 'delete' || scope.query) change.confirm = count;
        if (kind === 'snooze' && Number(state.hours) > 0) change.until = new Date(Date.now() + Number(state.hours) * 3600e3).toISOString();
        const op = await post('change', { by: by(s), change });
        done?.();
        app.reload();
        toast(`${letters(count)} ${past}${op.total > 1 ? ' or being so' : ''}`, {
          action: kind === 'delete' || kind === 'archive' || kind === 'resolve' ? ['Undo', () => undo(scope, op)] : ['Show', () => app.go('operation', { id: op.id })],
        });
        setTimeout(app.reload, 800);
      },
    });
  } catch (err) {
    failed(err);
  }
}

// undo restores what an operation has closed, as soon as that has its end.
async function undo(scope, op) {
  try {
    while (op.state === 'running') {
      await new Promise((resolve) => setTimeout(resolve, 200));
      op = await get('operation', { id: op.id });
    }
    await post('change', { by: by({ why: `undo of ${op.id}` }), change: { kind: 'restore', scope: scope.ids ? { ids: scope.ids } : { query: `op:${op.id} state:${{ delete: 'deleted', archive: 'archived', resolve: 'resolved' }[op.kind]}` } } });
    toast('Undone');
    setTimeout(app.reload, 500);
  } catch (err) {
    failed(err);
  }
}
