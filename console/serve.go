package console

import (
	"encoding/json"
	"net/http"
	"path"
	"strings"
)

// api is where the API is, below wherever the console is mounted.
const api = "api/v1/"

// ServeHTTP serves the pages and the API. It never blocks for longer than the
// ledger does, but for exports, imports and streams.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if err := c.checkHost(r); err != nil {
		refuse(w, err)
		return
	}
	if err := c.cross.Check(r); err != nil {
		refuse(w, &fault{
			status: http.StatusForbidden, code: "cross_origin", message: "console: " + err.Error(),
			fix: "send the request from the console's own page, or from a program",
		})
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if rest, ok := strings.CutPrefix(name, api); ok {
		c.serveAPI(w, r, rest)
		return
	}
	c.serveAsset(w, r, name)
}

func (c *Console) serveAPI(w http.ResponseWriter, r *http.Request, name string) {
	route := c.routes[name]
	if route == nil {
		refuse(w, &fault{
			status: http.StatusNotFound, code: "no_such_call", message: "console: there is no " + quote(api+name),
			fix: "see " + api + "openapi.json",
		})
		return
	}
	if r.Method != route.method && !(r.Method == http.MethodHead && route.method == http.MethodGet) {
		w.Header().Set("Allow", route.method)
		refuse(w, &fault{
			status: http.StatusMethodNotAllowed, code: "method", message: "console: " + name + " is not done by " + quote(r.Method),
			fix: "use " + route.method,
		})
		return
	}
	select {
	case <-c.streams.ended:
		refuse(w, &fault{status: http.StatusServiceUnavailable, code: "console_closed", message: "console: closed"})
		return
	default:
	}
	call := &call{Console: c, w: w, r: r, route: route, asked: map[Action]error{}}
	c.streams.follow(r)
	if err := call.do(); err != nil {
		refuse(w, err)
	}
}

func (c *call) do() error {
	if err := c.checkQuery(); err != nil {
		return err
	}
	if err := c.may(Metadata, ""); err != nil {
		return err
	}
	return c.route.serve(c)
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, err error) {
	status, e := answerOf(err)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		h.Set("Retry-After", "5")
	}
	data, _ := json.Marshal(e)
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}

// toFolder answers a request for the mount point without its slash, from where
// relative addresses would miss.
func toFolder(w http.ResponseWriter, r *http.Request) {
	whole, _, _ := strings.Cut(r.RequestURI, "?")
	to := "./"
	if !strings.HasSuffix(whole, "/") {
		to += path.Base(whole) + "/"
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusTemporaryRedirect)
}
