package browsertest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/console/browsertest"
)

// chromium returns the browser's path. Without one the tests are skipped, but not
// where everything has to be tried.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	const how = "no Chromium: apt-get install chromium, or set CHROMIUM to its path"
	if os.Getenv("CI") == "true" {
		t.Fatal(how)
	}
	t.Skip("SKIPPED, the pages are not tested: " + how)
	return ""
}

// tab is a page of the console in a browser.
type tab struct {
	t    *testing.T
	ctx  context.Context
	shop *browsertest.Shop
	url  string
	mu   sync.Mutex
	bad  []string // what the browser complained of
}

func everything(*http.Request, console.Action) error { return nil }

// open opens the shop and a browser of that width and theme.
func open(t *testing.T, cfg console.Config, orders, width int, theme string) *tab {
	t.Helper()
	chromium(t)
	if cfg.Authorize == nil {
		cfg.Authorize = everything
	}
	cfg.Environment = "staging"
	shop, err := browsertest.NewShop(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ops/dlq/", http.StripPrefix("/ops/dlq", shop.Console))
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		end, done := context.WithTimeout(context.Background(), 20*time.Second)
		defer done()
		server.CloseClientConnections()
		server.Close()
		if err := shop.Close(end); err != nil {
			t.Error(err)
		}
	})
	if err := shop.Place(t.Context(), orders); err != nil {
		t.Fatal(err)
	}
	b := drive(t, server.URL+"/ops/dlq/", width, theme)
	b.shop = shop
	return b
}

// drive opens a browser.
func drive(t *testing.T, url string, width int, theme string) *tab {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.DisableGPU, chromedp.Flag("lang", "en-US"), chromedp.Env("TZ=UTC"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	alloc, stop := chromedp.NewExecAllocator(ctx, options...)
	tabCtx, leave := chromedp.NewContext(alloc, chromedp.WithErrorf(func(string, ...any) {}))
	b := &tab{t: t, ctx: tabCtx, url: url}
	t.Cleanup(func() {
		leave()
		stop()
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, line := range b.bad {
			t.Errorf("the browser says: %s", line)
		}
	})
	chromedp.ListenTarget(tabCtx, b.heard)
	b.do(log.Enable(), runtime.Enable(), chromedp.EmulateViewport(int64(width), 800),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}))
	return b
}

// discard reads an answer to its end.
func discard(resp *http.Response) (int64, error) {
	defer resp.Body.Close()
	return io.Copy(io.Discard, resp.Body)
}

// heard keeps errors of the page, and refusals of its policy.
func (b *tab) heard(e any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := e.(type) {
	case *runtime.EventExceptionThrown:
		b.bad = append(b.bad, e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			for _, a := range e.Args {
				b.bad = append(b.bad, string(a.Value)+a.Description)
			}
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError && !strings.Contains(e.Entry.Text, "the server responded with a status of 4") {
			b.bad = append(b.bad, e.Entry.Text)
		}
	}
}

func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.screenshot("failed-" + strings.ReplaceAll(b.t.Name(), "/", "-"))
		b.t.Fatal(err)
	}
}

// visit goes to a page by its address.
func (b *tab) visit(hash string) {
	b.t.Helper()
	b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(b.url+hash), chromedp.WaitVisible("main h1, main .card, main .figures, main .empty", chromedp.ByQuery))
	b.until(`!document.querySelector('[aria-busy=true]')`)
}

// visitAny goes to a page that may have nothing but an error.
func (b *tab) visitAny(hash string) {
	b.t.Helper()
	b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(b.url+hash), chromedp.WaitVisible("main .stack > *", chromedp.ByQuery))
	b.until(`!document.querySelector('[aria-busy=true], .loading.on')`)
}

// js evaluates an expression.
func js[T any](b *tab, expr string) (v T) {
	b.t.Helper()
	b.do(chromedp.Evaluate(expr, &v))
	return v
}

// until returns when an expression is true.
func (b *tab) until(expr string) {
	b.t.Helper()
	var ok bool
	if err := chromedp.Run(b.ctx, chromedp.Poll("Boolean("+expr+")", &ok, chromedp.WithPollingInterval(30*time.Millisecond), chromedp.WithPollingTimeout(25*time.Second))); err != nil {
		b.screenshot("failed-" + strings.ReplaceAll(b.t.Name(), "/", "-"))
		b.t.Fatalf("never: %s (%v); the page says: %.1500s", expr, err, js[string](b, "document.body.innerText"))
	}
}

// sees waits for a text on the page.
func (b *tab) sees(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// click clicks the first visible element of that kind whose text begins so, in the
// topmost dialog if there is one.
func (b *tab) click(kind, text string) {
	b.t.Helper()
	find := fmt.Sprintf(`[...(([...document.querySelectorAll('dialog[open]')].pop()) || document).querySelectorAll(%q)].find((e) => (e.innerText || e.getAttribute('aria-label') || '').trim().startsWith(%q) && e.checkVisibility() && !e.disabled)`, kind, text)
	b.until(find)
	b.do(chromedp.Evaluate(find+".click()", nil))
}

// keys presses keys, one after the other.
func (b *tab) keys(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.do(chromedp.KeyEvent(k))
	}
}

// fill puts a text into a field of the topmost dialog.
func (b *tab) fill(name, text string) {
	b.t.Helper()
	sel := fmt.Sprintf("dialog[open]:last-of-type [name=%q]", name)
	b.do(chromedp.WaitVisible(sel, chromedp.ByQuery), chromedp.Evaluate(fmt.Sprintf(
		`(() => { const f = document.querySelector(%q); f.focus(); f.value = %q; f.dispatchEvent(new Event('input', {bubbles: true})); f.dispatchEvent(new Event('change', {bubbles: true})); })()`, sel, text), nil))
}

// screenshot keeps a picture in the folder SCREENSHOTS, if that is set.
func (b *tab) screenshot(name string) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	var png []byte
	if err := chromedp.Run(b.ctx, chromedp.Sleep(200*time.Millisecond), chromedp.CaptureScreenshot(&png)); err != nil {
		b.t.Log(err)
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
