// Package web holds the browser client of the mesh and a chat page that uses it, embedded in the binary.
//
// Usage:
//
//	mux.Handle("/", web.Handler())
//
// agentmesh.js is an ES module without dependencies: a class Client that speaks the protocol over a
// WebSocket, resumes after a lost connection and settles each message with its acknowledgement. The page
// (index.html, app.js and what they import) is a client of it and shows nothing that another program could
// not do. There is no build step: what is served is what lies here.
//
// The page expects from the server that serves it a WebSocket bridge at /ws and, for development only,
// POST /dev/session: {"user":"NAME"} answered by {"session":"…","user":"NAME","agent":"…"} (agent is
// optional). Where that endpoint answers 403 or 404 the page asks for a session token instead.
//
// Everything from other people enters the page as text, never as HTML; the Content-Security-Policy that
// Handler sends forbids inline scripts and styles and anything from elsewhere besides.
package web
