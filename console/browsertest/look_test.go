package browsertest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

// addresses are all pages, with something on them.
func (b *tab) addresses() map[string]string {
	b.t.Helper()
	page, err := b.shop.Desk.Letters(b.t.Context(), "sub:shipping", "", 1)
	if err != nil || len(page.Letters) == 0 {
		b.t.Fatal("no letter of shipping", err)
	}
	op, err := b.shop.Desk.Redrive(b.t.Context(), ops.By{Name: "ann", Why: "to look at"}, ops.Redrive{Scope: ops.Scope{Query: "sub:billing"}, Budget: 1, Steps: []float64{10, 100}})
	if err != nil {
		b.t.Fatal(err)
	}
	l := page.Letters[0]
	return map[string]string{
		"overview": "#/overview", "tree": "#/tree", "topics": "#/topics", "groups": "#/groups", "group": "#/group?fingerprint=" + l.Fingerprint, "letters": "#/letters?query=*",
		"letter": "#/letter?id=" + l.ID, "operations": "#/operations", "operation": "#/operation?id=" + op.ID, "audit": "#/audit",
	}
}

// contrast returns texts whose color is too near to what is behind them, by the
// formula of WCAG 2: 4.5, or 3 for large ones.
const contrast = `(() => {
  const rgb = (s) => { const m = s.match(/[\d.]+/g).map(Number); return s.startsWith('color(') ? [m[0] * 255, m[1] * 255, m[2] * 255, m[3] ?? 1] : [m[0], m[1], m[2], m[3] ?? 1]; };
  const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { const all = []; for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] > 0) all.unshift(c); if (c[3] === 1) break; } return all.reduce((b, c) => over(c, b), [255, 255, 255, 1]); };
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.textContent.trim(), e = walk.currentNode.parentElement;
    if (!text || !e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || e.closest('.visually-hidden, .skip, option, [disabled], [aria-hidden=true]')) continue;
    const style = getComputedStyle(e), b = behind(e), f = over(rgb(style.color), b);
    const [x, y] = [light(f), light(b)].sort((p, q) => q - p), ratio = (x + 0.05) / (y + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) bad.push(text.slice(0, 30) + ' ' + ratio.toFixed(2) + ' .' + e.className);
  }
  return [...new Set(bad)];
})()`

// nameless returns controls that have no name for who does not see them.
const nameless = `[...document.querySelectorAll('button, a[href], input, select, textarea, summary, [role=img], dialog')].filter((e) => e.checkVisibility()).filter((e) =>
  !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.innerText?.trim() || e.closest('label')?.innerText.trim() || (e.labels && [...e.labels].some((l) => l.textContent.trim())))).map((e) => e.outerHTML.slice(0, 120))`

// TestLook goes over all pages in both themes, wide and at 360 px: nothing sticks
// out, every text is legible and every control has a name.
func TestLook(t *testing.T) {
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int{1440, 360} {
			t.Run(fmt.Sprint(theme, "-", width), func(t *testing.T) {
				b := open(t, console.Config{}, 16, width, theme)
				for name, hash := range b.addresses() {
					b.visit(hash)
					b.screenshot(fmt.Sprintf("%s-%s-%d", name, theme, width))
					if got := js[int](b, "document.scrollingElement.scrollWidth"); got > width {
						t.Errorf("%s is %d px wide at %d", name, got, width)
					}
					for _, text := range js[[]string](b, contrast) {
						t.Errorf("%s: contrast of %s", name, text)
					}
					for _, e := range js[[]string](b, nameless) {
						t.Errorf("%s: no name: %s", name, e)
					}
					if got := js[string](b, "document.documentElement.dataset.theme"); got != theme {
						t.Errorf("%s is %s", name, got)
					}
				}
			})
		}
	}
}

// TestThemeAndZone are chosen, kept, and given back to the system.
func TestThemeAndZone(t *testing.T) {
	b := open(t, console.Config{}, 3, 1200, "light")
	b.visit("#/overview")
	theme := func() string { return js[string](b, "document.documentElement.dataset.theme") }
	b.click("button[aria-label^=Change]", "")
	b.until(`document.documentElement.dataset.theme === 'dark'`)
	b.visit("#/letters")
	if theme() != "dark" {
		t.Error("the theme is not kept")
	}
	b.click("button[aria-label^=Change]", "")
	b.until(`document.documentElement.dataset.theme === 'light' && !localStorage.getItem('troupe.theme')`)
	b.click("button[aria-label^=Times]", "")
	b.until(`localStorage.getItem('troupe.utc') === 'true'`)
}

// TestReadOnly shows nothing that cannot be done.
func TestReadOnly(t *testing.T) {
	b := open(t, console.Config{Authorize: func(_ *http.Request, a console.Action) error {
		if a.Right == console.Metadata {
			return nil
		}
		return fmt.Errorf("no")
	}}, 4, 1200, "light")
	page, err := b.shop.Desk.Letters(t.Context(), "sub:billing", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	b.visit("#/letter?id=" + page.Letters[0].ID)
	b.sees("withheld")
	b.screenshot("withheld-light")
	text := js[string](b, "document.body.innerText")
	for _, not := range []string{"Redrive", "Edit and resend", "gateway", "customer"} {
		if strings.Contains(text, not) {
			t.Errorf("the page has %q", not)
		}
	}
	b.sees("Read-only")
	b.keys("r", "e", "a")
	if js[bool](b, `Boolean(document.querySelector('dialog'))`) {
		t.Error("a key opens what may not be done")
	}
}

// hostile is what would act if it were ever more than text.
const hostile = `"><img src=x onerror="window.pwned=1"><script>window.pwned=2</script><svg onload="window.pwned=3"></svg>javascript:window.pwned=4//${window.pwned=5}</textarea></style>`

// TestHostileText puts it into every field of a letter, group, operation, audit
// entry and subscriber, and looks at every page.
func TestHostileText(t *testing.T) {
	b := open(t, console.Config{}, 2, 1440, "light")
	ctx := t.Context()
	at := time.Now()
	l := deadletter.Letter{
		ID: deadletter.NewID(at) + hostile, Node: hostile, Topic: hostile, Subscriber: hostile, Pattern: hostile, Payload: []byte(`{"` + "a" + `":"<img src=x onerror=window.pwned=6>"}`), ContentType: hostile,
		GoType: hostile, Headers: map[string]string{hostile: hostile}, Reason: hostile, Cause: hostile, Error: hostile, ErrorTypes: []string{hostile}, Stack: "main." + hostile + "\n\t" + hostile + ":1\n",
		PanicValue: hostile, CausationID: hostile, CorrelationID: hostile, EventID: hostile,
	}
	l.AddAttempt(deadletter.Attempt{Number: 1, Started: at, Cause: hostile, Error: hostile})
	if _, err := l.BeginRedrive(hostile, 1, at); err != nil {
		t.Fatal(err)
	}
	if err := l.EndRedrive(deadletter.OutcomeFailed, hostile, at); err != nil {
		t.Fatal(err)
	}
	l.Fingerprint = deadletter.Fingerprint(l)
	raw := l.Clone()
	raw.ID, raw.Payload, raw.PayloadError = deadletter.NewID(at), []byte(hostile), hostile
	if err := b.shop.Store.Add(ctx, []deadletter.Letter{l, raw}); err != nil {
		t.Fatal(err)
	}
	by := ops.By{Name: hostile, Why: hostile}
	note, owner := hostile, hostile
	if _, err := b.shop.Desk.ChangeGroup(ctx, by, l.Fingerprint, ops.GroupChange{Note: &note, Owner: &owner}); err != nil {
		t.Log("note:", err)
	}
	op, err := b.shop.Desk.Redrive(ctx, by, ops.Redrive{Scope: ops.Scope{IDs: []string{l.ID}}, Budget: 1})
	if err != nil {
		t.Fatal(err)
	}
	q := url.QueryEscape
	for _, hash := range []string{
		"#/overview", "#/tree?filter=" + q(hostile), "#/topics?filter=" + q(hostile), "#/groups?query=*", "#/group?fingerprint=" + l.Fingerprint + "&state=*", "#/letters?query=*", "#/letters?query=" + q(hostile),
		"#/letter?id=" + q(l.ID), "#/letter?id=" + q(l.ID) + "&view=raw&stack=all", "#/letter?id=" + raw.ID, "#/letter?id=" + raw.ID + "&view=hex&with=" + q(l.ID),
		"#/operations", "#/operation?id=" + op.ID, "#/audit", "#/audit?by=" + q(hostile), "#/letter?id=" + q(hostile), "#/" + q(hostile),
	} {
		b.do()
		b.visitAny(hash)
		if js[bool](b, `typeof window.pwned !== 'undefined'`) {
			t.Errorf("%s: it acts: pwned = %d", hash, js[int](b, "window.pwned"))
		}
		if n := js[int](b, `document.querySelectorAll('img:not([src="icon.svg"]), main script, svg[onload], [onerror], a[href^="javascript:"]').length`); n > 0 {
			t.Errorf("%s: %d elements of it are in the page", hash, n)
		}
		if strings.Contains(hash, "letter?id="+q(l.ID)) && !js[bool](b, `document.body.innerText.includes('<img src=x onerror="window.pwned=1">')`) {
			t.Errorf("%s: the text is not there as text", hash)
		}
	}
	// A dialog shows it, too.
	b.visitAny("#/letter?id=" + q(l.ID))
	b.keys("e")
	b.until(`document.querySelector('dialog textarea[name=payload]')`)
	b.keys("\x1b")
	b.keys("r")
	b.until(`document.querySelector('dialog .preview .total, dialog .error-box')`)
	if js[bool](b, `typeof window.pwned !== 'undefined'`) {
		t.Error("it acts in a dialog")
	}
	// And if a line of ours did make markup of a text, the browser would refuse.
	if !js[bool](b, `(() => { try { document.createElement('div').innerHTML = '<b>x</b>'; return false; } catch (e) { return e instanceof TypeError; } })()`) {
		t.Error("the browser makes markup of texts: no trusted types")
	}
	b.mu.Lock() // that was a refusal on purpose
	b.bad = nil
	b.mu.Unlock()
}

// TestOfflineAndEmpty look at a ledger without a runtime, and at one without letters.
func TestOfflineAndEmpty(t *testing.T) {
	b := open(t, console.Config{}, 5, 1200, "light")
	for name, store := range map[string]*deadletter.Memory{"offline": b.shop.Store, "empty": nil} {
		if store == nil {
			var err error
			if store, err = deadletter.NewMemory(deadletter.MemoryConfig{}); err != nil {
				t.Fatal(err)
			}
		}
		c, err := console.New(nil, console.Config{Desk: ops.Offline(store)})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(c)
		b.url = server.URL + "/"
		for _, page := range []string{"overview", "tree", "topics", "groups", "letters", "operations", "audit"} {
			b.visitAny("#/" + page)
			if js[bool](b, `Boolean(document.querySelector('.error-box'))`) {
				t.Errorf("%s, %s: %s", name, page, js[string](b, `document.querySelector('.error-box').innerText`))
			}
			if name == "empty" && !js[bool](b, `Boolean(document.querySelector('main .empty'))`) {
				t.Errorf("%s, %s says nothing", name, page)
			}
			b.screenshot(name + "-" + page)
		}
		b.do(chromedp.Navigate("about:blank"))
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		server.CloseClientConnections()
		server.Close()
	}
}
