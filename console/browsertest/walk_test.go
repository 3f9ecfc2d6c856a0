package browsertest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter"
)

// TestThreeInTheMorning is the whole course: what fails, pause, repair one, try in
// steps that stop, repair all, resume, send the rest back, and the record of it.
func TestThreeInTheMorning(t *testing.T) {
	b := open(t, console.Config{}, 24, 1440, "light")
	b.visit("#/overview")
	b.sees("What fails")
	b.screenshot("overview-light")
	b.click("a", "billing")
	b.sees("gateway: connection refused")
	b.screenshot("group-light")

	// Pause the subscriber, beside the evidence.
	b.click("button", "Pause")
	b.fill("by", "ann")
	b.fill("why", "the gateway is down")
	b.click("button", "Pause")
	b.until(`[...document.querySelectorAll('.trouble .tag')].some((e) => e.innerText === 'paused')`)
	if s, err := b.shop.Runtime.Subscription("orders.placed", "billing"); err != nil || s.Snapshot().State != "paused" {
		t.Errorf("billing is not paused: %v, %v", s, err)
	}
	b.click("button", "Resume")
	b.click("button", "Resume")
	b.until(`[...document.querySelectorAll('.trouble .tag')].some((e) => e.innerText === 'idle')`)

	// One letter: edit and resend. Its number is larger than JavaScript holds.
	b.click("tbody td a", "")
	b.sees("Payload")
	id := js[string](b, `new URLSearchParams(location.hash.split('?')[1]).get('id')`)
	b.screenshot("letter-light")
	number := js[string](b, `document.querySelector('.code .j-num').innerText`)
	if len(number) != 16 || !strings.HasPrefix(number, "900719925474") {
		t.Errorf("the ID is shown as %s", number)
	}
	b.click("button", "Edit and resend")
	b.until(`document.querySelector('dialog textarea[name=payload]')`)
	text := js[string](b, `document.querySelector('dialog textarea[name=payload]').value`)
	if !strings.Contains(text, number) {
		t.Fatalf("to edit: %s", text)
	}
	b.fill("payload", "{")
	b.sees("This is not JSON")
	amount := text[strings.Index(text, `"amount": "`)+11:]
	amount = amount[:strings.Index(amount, `"`)]
	b.fill("payload", strings.Replace(text, amount, "12.50 EUR", 1))
	b.until(`document.querySelector('dialog .diff .new')?.innerText === '"12.50 EUR"'`)
	if n := js[int](b, `document.querySelectorAll('dialog .diff tbody tr').length`); n != 1 {
		t.Errorf("the edit changes %d places, want 1: the number is another one", n)
	}
	b.screenshot("edit-light")
	b.click("button", "Send in its place")
	b.until(`document.querySelector('.page-head .tag').innerText === 'resolved'`)
	l, err := b.shop.Desk.Letter(t.Context(), id)
	if err != nil || l.Closed == nil || l.Closed.As != deadletter.ClosedByEdit || l.Closed.By != "ann (unverified)" {
		t.Errorf("letter %+v, %v", l.Closed, err)
	}
	if n := b.shop.Billed.Load(); n != 1 {
		t.Errorf("%d events billed, want the edited one", n)
	}

	// A redrive in steps, while the gateway is still down: it stops by itself.
	b.click("a", "24 letters like it")
	b.sees("Redrive 23 letters")
	b.click("button", "Redrive 23 letters")
	b.sees("1 attempt")
	b.fill("why", "perhaps it works again")
	b.screenshot("redrive-light")
	b.click("dialog button[type=submit]", "Redrive 23 letters")
	b.sees("Stopped.")
	b.until(`document.querySelector('.page-head .tag').innerText === 'stopped'`)
	b.screenshot("operation-stopped-light")
	op := js[string](b, `new URLSearchParams(location.hash.split('?')[1]).get('id')`)
	stopped, err := b.shop.Desk.Operation(t.Context(), op)
	if err != nil || stopped.Items[deadletter.ItemFailed] == 0 || stopped.Items[deadletter.ItemPending] < 20 {
		t.Errorf("stopped with %v, %v", stopped.Items, err)
	}

	// The gateway is repaired: resume to the end.
	b.shop.Broken.Store(false)
	b.click("button", "Resume")
	b.until(`document.querySelector('.page-head .tag').innerText === 'done'`)
	b.screenshot("operation-done-light")
	// What had failed in the first step goes back by itself.
	b.visit("#/letters?query=state:open+sub:billing")
	b.until(`document.querySelectorAll('tbody tr').length === ` + jsonOf(stopped.Items[deadletter.ItemFailed]))
	b.keys("j", "r")
	b.sees("1 attempt")
	b.click("dialog button[type=submit]", "Redrive 1 letter")
	b.until(`document.querySelector('.page-head .tag')?.innerText === 'done'`)

	b.visit("#/audit")
	for _, text := range []string{"ann (unverified)", "pause subscriber", "resume subscriber", "edit", "redrive", "the gateway is down", "perhaps it works again"} {
		b.sees(text)
	}
	b.screenshot("audit-light")
	a, err := b.shop.Desk.Verify(t.Context())
	if err != nil || a.Resolved != 24 {
		t.Errorf("account %+v, %v", a, err)
	}
}

func jsonOf(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// TestKeyboardOnly does without a pointer: choose, archive, undo by restore, help.
func TestKeyboardOnly(t *testing.T) {
	b := open(t, console.Config{}, 10, 1200, "light")
	b.visit("#/overview")
	b.keys("g", "l")
	b.until(`location.hash.startsWith('#/letters') && document.querySelectorAll('.letters tbody tr').length > 3`)
	b.keys("?")
	b.sees("choose the row")
	b.screenshot("help-light")
	b.keys(kb.Escape)
	b.until(`!document.querySelector('dialog')`)
	b.keys("j", "x", "j", "x", "k")
	b.sees("2 chosen")
	b.keys("a")
	b.sees("Archive 2 letters?")
	// The focus stays in the dialog, however often Tab is pressed.
	for range 12 {
		b.keys(kb.Tab)
		if !js[bool](b, `document.activeElement === document.body || Boolean(document.activeElement.closest('dialog'))`) {
			t.Fatal("the focus has left the dialog for", js[string](b, `document.activeElement.outerHTML`))
		}
	}
	b.do()
	js[any](b, `document.querySelector('dialog [name=by]').focus()`)
	b.keys("a", "n", "n", kb.Enter)
	b.until(`!document.querySelector('dialog')`)
	page, err := b.shop.Desk.Letters(t.Context(), "state:archived", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	b.visit("#/letters?query=state:archived")
	b.until(`document.querySelectorAll('.letters tbody tr').length === 2`)
	if page.Total > 2 {
		t.Errorf("%d archived", page.Total)
	}
	b.keys("j", kb.Enter)
	b.until(`location.hash.startsWith('#/letter?') && document.querySelector('.page-head')`)
	b.keys("a") // an archived one is restored
	b.sees("Restore 1 letter?")
	b.keys(kb.Enter)
	b.until(`document.querySelector('.page-head .tag')?.innerText === 'open'`)
	b.keys("u")
	b.until(`location.hash.startsWith('#/letters')`)
	b.keys("/")
	b.until(`document.activeElement.id === 'query'`)
	js[any](b, `document.activeElement.value = ''`)
	for _, c := range "reas" {
		b.keys(string(c))
	}
	b.until(`document.querySelector('[role=option]')?.innerText === 'reason:'`)
	b.keys(kb.Tab)
	if got := js[string](b, `document.getElementById('query').value`); got != "reason:" {
		t.Errorf("completed to %q", got)
	}
	js[any](b, `document.getElementById('query').value = 'state:open ('`)
	b.keys(kb.Enter)
	b.until(`document.querySelector('.query-problem')`)
	b.screenshot("query-error-light")
}

// TestChoose marks letters one by one, a range with Shift, and all that match on the
// server, and does something with them.
func TestChoose(t *testing.T) {
	b := open(t, console.Config{}, 70, 1440, "light")
	b.visit("#/letters?query=state:open+sub:billing")
	b.until(`document.querySelectorAll('.letters tbody tr').length === 50`)
	mark := func(row int, shift bool) {
		b.do(chromedp.Evaluate(`document.querySelectorAll('.letters tbody input')[`+jsonOf(row)+`].dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true, shiftKey: `+jsonOf(shift)+`}))`, nil))
	}
	mark(2, false)
	b.sees("1 chosen")
	mark(9, true)
	b.sees("8 chosen")
	b.screenshot("chosen-light")
	b.click("button", "Choose all 70 that match")
	b.sees("All 70 letters that match")
	b.click(".pickbar button", "Delete")
	b.sees("Delete 70 letters?")
	b.sees("staging · shop")
	disabled := `document.querySelector('dialog button[type=submit]').disabled`
	if !js[bool](b, disabled) {
		t.Error("deletes without the number")
	}
	b.fill("confirm", "69")
	if !js[bool](b, disabled) {
		t.Error("deletes with another number")
	}
	b.fill("confirm", "70")
	b.screenshot("delete-light")
	b.click("dialog button[type=submit]", "Delete 70 letters")
	b.sees("No letter fits")
	b.click(".toast button", "Undo")
	b.until(`document.querySelectorAll('.letters tbody tr').length === 50`)
	a, err := b.shop.Desk.Verify(t.Context())
	if err != nil || a.Deleted != 0 {
		t.Errorf("account %+v, %v", a, err)
	}
}

// TestLive shows what happens without being asked, and says when it cannot.
func TestLive(t *testing.T) {
	b := open(t, console.Config{}, 1, 1440, "light")
	b.visit("#/letters")
	b.until(`document.querySelector('.alive.on') && document.querySelectorAll('.letters tbody tr').length === 1`)
	if err := b.shop.Place(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	b.until(`document.querySelectorAll('.letters tbody tr').length === 6`)
	b.until(`document.querySelector('.nav a[href="#/letters"] .count').innerText === '6'`)
	if err := b.shop.Console.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.until(`document.querySelector('.alive.off')`)
	b.mu.Lock() // it says that the server answers 503, as it should
	b.bad = nil
	b.mu.Unlock()
}
