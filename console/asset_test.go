package console_test

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/console"
)

// TestMountsAnywhere loads the page and all that it refers to, below several
// prefixes, by relative addresses only.
func TestMountsAnywhere(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples})
	refers := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from '([^']+)'|new URL\('([^']+)'`)
	for _, prefix := range []string{"/", "/ops/dlq/", "/a/b/c/"} {
		mux := http.NewServeMux()
		mux.Handle(prefix, http.StripPrefix(strings.TrimSuffix(prefix, "/"), w.console))
		server := httptest.NewServer(mux)
		seen := map[string]bool{}
		var load func(url, dir string)
		load = func(url, dir string) {
			if seen[url] {
				return
			}
			seen[url] = true
			resp, err := server.Client().Get(server.URL + url)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			data, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != 200 {
				t.Errorf("below %s: GET %s = %d", prefix, url, resp.StatusCode)
			}
			if strings.Contains(url, "uplot/") {
				return
			}
			for _, m := range refers.FindAllStringSubmatch(string(data), -1) {
				to := m[1] + m[2] + m[3]
				if strings.HasPrefix(to, "/") || strings.Contains(to, "//") {
					t.Errorf("%s refers to %q, which is not relative", url, to)
					continue
				}
				if m[3] != "" {
					continue // a call
				}
				next := filepath.Clean(dir + to)
				load(next, filepath.Dir(next)+"/")
			}
		}
		load(prefix, prefix)
		if len(seen) < 15 {
			t.Errorf("below %s: only %d files", prefix, len(seen))
		}
		resp, err := server.Client().Get(server.URL + prefix + "api/v1/overview")
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("below %s: %v, %v", prefix, resp, err)
		}
		resp.Body.Close()
		server.Close()
	}
}

// TestWithoutSlash sends to the folder, and nowhere else.
func TestWithoutSlash(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples})
	for uri, want := range map[string]string{"/ops": "./ops/", "/a/ops?x=1": "./ops/", "/ops?x=//evil.example": "./ops/"} {
		r := httptest.NewRequest("GET", uri, nil)
		r.Host = "localhost"
		r.URL.Path = ""
		rec := httptest.NewRecorder()
		w.console.ServeHTTP(rec, r)
		if rec.Code != 307 || rec.Header().Get("Location") != want {
			t.Errorf("GET %s = %d to %q, want %q", uri, rec.Code, rec.Header().Get("Location"), want)
		}
	}
}

// TestVendored holds that uPlot is what its README says.
func TestVendored(t *testing.T) {
	readme, err := os.ReadFile("assets/uplot/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"uPlot.iife.min.js", "uPlot.min.css"} {
		data, err := os.ReadFile("assets/uplot/" + name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if line := hex.EncodeToString(sum[:]) + "  " + name; !strings.Contains(string(readme), line) {
			t.Errorf("%s is not what the README says: %s", name, line)
		}
	}
	if license, err := os.ReadFile("assets/uplot/LICENSE"); err != nil || !strings.Contains(string(license), "MIT") {
		t.Errorf("LICENSE: %v", err)
	}
}

// TestTextIsOnlyText refuses, in our modules, every way in which a text becomes
// markup or code. The policy refuses it at run time, too.
func TestTextIsOnlyText(t *testing.T) {
	bad := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setTimeout\(['"]|\.srcdoc|createContextualFragment|javascript:|DOMParser|setHTML`)
	inline := regexp.MustCompile(`(?i)<script(?:>| [^>]*>[^<])|<style|\son\w+=|\sstyle=`)
	err := filepath.WalkDir("assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(name, "uplot") {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if m := bad.Find(data); m != nil && filepath.Ext(name) == ".js" {
			t.Errorf("%s has %s", name, m)
		}
		if m := inline.Find(data); m != nil && filepath.Ext(name) == ".html" {
			t.Errorf("%s has %s", name, m)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFirstPaintIsSmall holds what comes over the line before a page is there.
func TestFirstPaintIsSmall(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples})
	total := 0
	err := filepath.WalkDir("assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(name, "README") || strings.Contains(name, "LICENSE") {
			return err
		}
		r := httptest.NewRequest("GET", "/"+strings.TrimPrefix(name, "assets/"), nil)
		r.Host = "localhost"
		r.Header.Set("Accept-Encoding", "gzip")
		rec := httptest.NewRecorder()
		w.console.ServeHTTP(rec, r)
		total += rec.Body.Len()
		plain, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if name == "assets/index.html" || filepath.Ext(name) == ".js" {
			z, err := gzip.NewReader(rec.Body)
			if err != nil {
				return err
			}
			if data, err := io.ReadAll(z); err != nil || string(data) != string(plain) {
				t.Errorf("%s comes as something else, %v", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("all files: %d bytes", total)
	if total > 100_000 {
		t.Errorf("all files are %d bytes over the line, want at most 100,000", total)
	}
}
