// Calls of the API. Every address is relative to the page.
export class Failed extends Error {
  constructor(status, body) {
    super(body.error || `the server answered ${status}`);
    Object.assign(this, { status, code: body.code, field: body.field, column: body.column, fix: body.fix });
  }
}

const base = new URL('api/v1/', document.baseURI.split('#')[0]);

export function address(path, params) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(params || {})) {
    if (value === undefined || value === null || value === '' || value === false) continue;
    for (const v of Array.isArray(value) ? value : [value]) url.searchParams.append(name, v);
  }
  return url;
}

async function answer(request) {
  let response;
  try {
    response = await fetch(...request);
  } catch (err) {
    if (err.name === 'AbortError') throw err;
    throw new Failed(0, { error: 'The server cannot be reached.', fix: 'It is tried again by itself; see whether the process runs.' });
  }
  let body;
  try {
    body = await response.json();
  } catch {
    throw new Failed(response.status, { error: `The server answered ${response.status} without a reason.`, fix: 'Reload the page; you may have to sign in again.' });
  }
  if (!response.ok) throw new Failed(response.status, body);
  return body;
}

export const get = (path, params, signal) => answer([address(path, params), { signal, headers: { Accept: 'application/json' } }]);

// post sends JSON. A text is sent as it is: it holds numbers that JavaScript cannot.
export const post = (path, body, signal) =>
  answer([address(path), { method: 'POST', signal, headers: { 'Content-Type': 'application/json' }, body: typeof body === 'string' ? body : JSON.stringify(body) }]);

// stream listens to what happens. EventSource connects again by itself and sends
// Last-Event-ID; a refusal is for good, and tried again after a while.
export function stream(onEvent, onState) {
  let source = null, again = null;
  const open = () => {
    clearTimeout(again);
    if (source || document.hidden) return;
    source = new EventSource(address('events'));
    source.addEventListener('open', () => onState(true));
    source.addEventListener('happened', (e) => onEvent(JSON.parse(e.data)));
    source.addEventListener('error', () => {
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        onState(false);
        again = setTimeout(open, 5000);
      } else setTimeout(() => source && source.readyState !== EventSource.OPEN && onState(false), 3000);
    });
  };
  // A page that nobody looks at holds no connection: browsers have few.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else {
      open();
      onEvent({ kind: 'lost' });
    }
  });
  open();
}
