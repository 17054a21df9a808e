package web

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
)

//go:embed *.html *.js *.css *.svg
var files embed.FS

// The types are fixed here: what mime.TypeByExtension says depends on the machine, and browsers refuse a
// module that does not come as JavaScript.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
}

// The page loads its own files and talks to WebSockets, nothing else. frame-ancestors keeps it out of
// foreign frames; form-action and base-uri are not covered by default-src.
const policy = "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"

type file struct {
	body []byte
	kind string
	etag string
}

// Handler serves the chat page at / and its files beside it. Other paths are 404, so that it can be the
// last handler of a mux. The page itself is never cached; its files are revalidated by ETag at each load,
// so that page and scripts of one binary stay together. It is safe for concurrent use.
func Handler() http.Handler {
	served := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Content-Security-Policy", policy)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			header.Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		f, ok := served[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		f.serve(w, r)
	})
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", f.kind)
	if f.etag == "" {
		header.Set("Cache-Control", "no-store")
	} else {
		header.Set("Cache-Control", "no-cache")
		header.Set("ETag", f.etag)
		if r.Header.Get("If-None-Match") == f.etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	_, _ = w.Write(f.body) // net/http drops the body of a HEAD; a client that went away is no error
}

// load reads the embedded files once. Reading what was embedded cannot fail.
func load() map[string]file {
	served := make(map[string]file)
	entries, _ := fs.ReadDir(files, ".")
	for _, entry := range entries {
		name := entry.Name()
		body, _ := files.ReadFile(name)
		f := file{body: body, kind: types[path.Ext(name)]}
		if name == "index.html" {
			served["/"] = f
			continue
		}
		sum := sha256.Sum256(body)
		f.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
		served["/"+name] = f
	}
	return served
}
