package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed assets
var files embed.FS

// asset is a file of the pages.
type asset struct {
	data, packed []byte
	kind, tag    string
}

// assets are made when the first page is asked for.
var assets = sync.OnceValue(func() map[string]*asset {
	all := map[string]*asset{}
	kinds := map[string]string{
		".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
		".svg": "image/svg+xml", ".json": "application/json",
	}
	_ = fs.WalkDir(files, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		kind := kinds[path.Ext(name)]
		if kind == "" {
			if kind = mime.TypeByExtension(path.Ext(name)); kind == "" {
				kind = "text/plain; charset=utf-8"
			}
		}
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		_, _ = z.Write(data) // into memory
		_ = z.Close()
		sum := sha256.Sum256(data)
		all[strings.TrimPrefix(name, "assets/")] = &asset{data, b.Bytes(), kind, `"` + hex.EncodeToString(sum[:8]) + `"`}
		return nil
	})
	return all
})

// serveAsset serves a page or what it is made of. Its address has no version in
// it, so a browser asks whether it is still the same.
func (c *Console) serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, &fault{status: http.StatusMethodNotAllowed, code: "method", message: "console: pages are only read", fix: "use GET"})
		return
	}
	whole, _, _ := strings.Cut(r.RequestURI, "?")
	if r.URL.Path == "" && !strings.HasSuffix(whole, "/") {
		toFolder(w, r)
		return
	}
	if name == "" {
		name = "index.html"
	}
	a := assets()[name]
	if a == nil {
		refuse(w, &fault{status: http.StatusNotFound, code: "no_such_page", message: "console: there is no page " + quote(name), fix: "pages are behind the # of the address"})
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	if name != "index.html" {
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", a.tag)
		h.Set("Vary", "Accept-Encoding")
		if r.Header.Get("If-None-Match") == a.tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	data := a.data
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		data = a.packed
	}
	_, _ = w.Write(data)
}
