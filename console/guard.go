package console

import (
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
)

// policy lets the page run its own modules and styles, speak with its own server,
// and nothing else: what an event says cannot become code.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// secure sets the headers of every answer.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
}

// checkHost refuses a request by a name that the console does not know: a page of
// another site may resolve its own name to this machine, and then counts as of
// the same origin.
func (c *Console) checkHost(r *http.Request) error {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	loopback := false
	if tcp, ok := local.(*net.TCPAddr); ok {
		loopback = tcp.IP.IsLoopback()
	}
	if _, ok := local.(*net.UnixAddr); ok {
		return nil
	}
	if !loopback && len(c.cfg.Hosts) == 0 {
		return nil
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() && loopback {
		return nil
	}
	if loopback && (host == "localhost" || strings.HasSuffix(host, ".localhost")) {
		return nil
	}
	if slices.ContainsFunc(c.cfg.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
		return nil
	}
	return &fault{
		status: http.StatusMisdirectedRequest, code: "unknown_host", message: "console: the host " + quote(host) + " is not one of this console",
		fix: "add it to console.Config.Hosts if it is",
	}
}

// checkType refuses a body of another type than that. Browsers send these types to
// another origin only after asking, and the answer would be no.
func checkType(r *http.Request, want string) error {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && got == want {
		return nil
	}
	return &fault{
		status: http.StatusUnsupportedMediaType, code: "content_type", field: "Content-Type",
		message: "console: Content-Type " + quote(r.Header.Get("Content-Type")) + " is not accepted here", fix: "send " + want,
	}
}
