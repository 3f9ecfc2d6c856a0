package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/troupe-go/troupe/ops"
)

// Export writes the letters of a scope to w as they come, and returns how many
// they are. An export that broke off is an error, never a shorter one.
func (c *Client) Export(ctx context.Context, by ops.By, w io.Writer, s ops.Scope, format string) (int, error) {
	v := values{}.text("group", s.Group).text("query", s.Query).text("format", format).text("by", by.Name).text("why", by.Why)
	for _, id := range s.IDs {
		v.text("id", id)
	}
	r, err := c.request(ctx, http.MethodGet, "export", url.Values(v), nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.send(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return 0, fmt.Errorf("client: the export broke off: %w", err)
	}
	n, err := strconv.Atoi(resp.Trailer.Get("Troupe-Count"))
	if err != nil {
		return 0, fmt.Errorf("client: the export broke off: no number of letters at its end")
	}
	return n, nil
}

// Import sends the letters that r has. What was read before a fault stays; sending
// it again adds nothing twice.
func (c *Client) Import(ctx context.Context, by ops.By, r io.Reader, format string) (ops.Imported, error) {
	return c.sendFile(ctx, "import", values{}.text("format", format).text("by", by.Name).text("why", by.Why), r)
}

// PreviewImport sends the letters that r has, and returns what Import would do.
func (c *Client) PreviewImport(ctx context.Context, r io.Reader, format string) (ops.Imported, error) {
	return c.sendFile(ctx, "import/preview", values{}.text("format", format), r)
}

func (c *Client) sendFile(ctx context.Context, path string, v values, r io.Reader) (ops.Imported, error) {
	var result ops.Imported
	req, err := c.request(ctx, http.MethodPost, path, url.Values(v), io.NopCloser(r))
	if err != nil {
		return result, err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := c.send(req)
	if err != nil {
		return result, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&result); err != nil {
		return result, fmt.Errorf("client: %w", err)
	}
	return result, nil
}
