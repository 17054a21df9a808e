package interop_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// TestPythonInTheMesh: an agent of Very Powerful Agents speaks with an agent of ours as with any client, with
// envelopes as payloads.
func TestPythonInTheMesh(t *testing.T) {
	t.Parallel()
	server := relays[slices.IndexFunc(relays, func(s relayServer) bool { return s.name == "agentmesh serve" })]
	r := server.start(t, nil)
	python := vpa(t).open("python", command{"do": "client", "address": r.endpoint})
	ask := func(envelope string) (answer struct{ Type, Ref, Code, Message string }) {
		t.Helper()
		python.to("mesh", envelope)
		got := python.message("python")
		if *got.Name != "mesh" || json.Unmarshal([]byte(*got.Payload), &answer) != nil {
			t.Fatalf("answered by %q with %q", *got.Name, *got.Payload)
		}
		return answer
	}
	if got := ask(`{"type":"Ping","id":"1"}`); got.Type != "Pong" || got.Ref != "1" {
		t.Errorf("Ping: %+v", got)
	}
	if got := ask("no JSON"); got.Type != "Error" || got.Code != "BadRequest" {
		t.Errorf("no JSON: %+v", got)
	}
	session := strings.TrimSpace(runCommand(t, "session", "create", "--redis", r.redis, "--user", "ann"))
	if got := ask(`{"type":"Login","id":"2","from":{"type":"User","id":"ann","session":"` + session + `"}}`); got.Type != "Ack" || got.Ref != "2" {
		t.Errorf("Login: %+v", got)
	}
	if got := ask(`{"type":"DirectMessage","to":{"type":"User","id":"ann"},"message":"to myself"}`); got.Type != "DirectMessage" || got.Message != "to myself" {
		t.Errorf("DirectMessage: %+v", got)
	}
}
