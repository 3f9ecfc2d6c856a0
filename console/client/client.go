package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config says where the console is. One of URL and Socket has to be set.
type Config struct {
	// URL is where the console is mounted, such as "https://host/ops/".
	URL string
	// Socket is the path of a Unix socket that the console is served on. With a
	// URL, only the URL's path counts.
	Socket string
	// Token is sent as a bearer token, if not empty.
	Token string
	// HTTP does the requests. Nil is a client without a time limit for whole
	// requests, since exports and streams take long; contexts bound the others.
	HTTP *http.Client
}

// Client calls the API of a console. Its methods are safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New makes a client. It does not connect.
func New(cfg Config) (*Client, error) {
	if cfg.URL == "" && cfg.Socket == "" {
		return nil, errors.New(`client: Config.URL "": must be set, or Socket`)
	}
	if cfg.URL == "" {
		cfg.URL = "http://localhost/"
	}
	base, err := url.Parse(cfg.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fmt.Errorf("client: Config.URL %q: must be like http://host:port/path/", cfg.URL)
	}
	if base.RawQuery != "" || base.Fragment != "" || base.User != nil {
		return nil, fmt.Errorf("client: Config.URL %q: must not have a user, query or fragment", base.Redacted())
	}
	if !strings.HasSuffix(base.Path, "/") {
		base.Path += "/"
	}
	c := &Client{base: base, token: cfg.Token, http: cfg.HTTP}
	if c.http == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		if cfg.Socket != "" {
			t.Proxy = nil
			t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "unix", cfg.Socket)
			}
		}
		c.http = &http.Client{Transport: t}
	}
	if c.http.CheckRedirect == nil {
		h := *c.http // a token is for the server that was named, and a POST is not for another
		h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		c.http = &h
	}
	return c, nil
}

// Close closes connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) request(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Request, error) {
	u := c.base.JoinPath("api/v1/" + path)
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	return r, nil
}

// send does a request and returns an answer that is 2xx.
func (c *Client) send(r *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, readError(resp)
}

// maxAnswer bounds an answer that is read as a whole: far above what a console
// sends.
const maxAnswer = 256 << 20

func (c *Client) do(r *http.Request, result any) error {
	r.Header.Set("Accept", "application/json")
	resp, err := c.send(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(result); err != nil {
		return fmt.Errorf("client: %s did not answer as a console does: %w", r.URL.Redacted(), err)
	}
	return nil
}

func get[T any](ctx context.Context, c *Client, path string, query url.Values) (result T, err error) {
	r, err := c.request(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return result, err
	}
	err = c.do(r, &result)
	return result, err
}

func post[T any](ctx context.Context, c *Client, path string, body any) (result T, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return result, fmt.Errorf("client: %w", err)
	}
	r, err := c.request(ctx, http.MethodPost, path, nil, bytes.NewReader(data))
	if err != nil {
		return result, err
	}
	r.Header.Set("Content-Type", "application/json")
	err = c.do(r, &result)
	return result, err
}
