package router

import (
	"strings"

	"github.com/agentmesh/agentmesh/agents/message"
)

// Kind tells the three kinds of histories apart.
type Kind uint8

// The kinds of histories.
const (
	Inbox  Kind = iota // of a user: what is sent to him
	Room               // of a room
	Global             // of all
)

// History names a history: a user's inbox, a room's, or the global one, whose ID is empty.
type History struct {
	Kind Kind
	ID   string // any bytes
}

// address is how h is written into a message.
func (h History) address() message.Address {
	switch h.Kind {
	case Inbox:
		return message.Address{Type: message.User, ID: h.ID}
	case Room:
		return message.Address{Type: message.ChatRoom, ID: h.ID}
	}
	return message.Address{}
}

func historyAt(a message.Address) History {
	switch a.Type {
	case message.User:
		return History{Kind: Inbox, ID: a.ID}
	case message.ChatRoom:
		return History{Kind: Room, ID: a.ID}
	}
	return History{Kind: Global}
}

// name is how h is written into a set of names.
func (h History) name() string {
	switch h.Kind {
	case Inbox:
		return "u:" + h.ID
	case Room:
		return "r:" + h.ID
	}
	return "g"
}

func historyNamed(name string) (History, bool) {
	switch {
	case name == "g":
		return History{Kind: Global}, true
	case strings.HasPrefix(name, "u:"):
		return History{Kind: Inbox, ID: name[2:]}, true
	case strings.HasPrefix(name, "r:"):
		return History{Kind: Room, ID: name[2:]}, true
	}
	return History{}, false
}

// Redis hashes what stands between the first { and the first } behind it, so an id must not end the tag.
var inTag = strings.NewReplacer("%", "%25", "}", "%7D")

// key is the key of h with the suffix. All keys of one history are of one slot.
func (r *Router) key(h History, suffix string) string {
	if h.Kind == Global {
		return "{" + r.prefix + ":g}" + suffix
	}
	return "{" + r.prefix + ":" + h.name()[:2] + inTag.Replace(h.ID) + "}" + suffix
}

func (r *Router) heldKey(incarnation string) string {
	return "{" + r.prefix + ":a:" + inTag.Replace(incarnation) + "}:held"
}

// Resume is where a client's copy of a history ends.
type Resume struct {
	Since message.Position
	Epoch string // "" when the client knows none
}

// Standing is where a history stands for a client that attaches.
type Standing struct {
	Seq    int64  // the last message; later ones come live
	Epoch  string // the life of the history
	Oldest int64  // the first message that can be replayed; Seq+1 when there is none
	Gap    bool   // messages after the client's position are lost to him
}

// claims reports whether the client says that it has seen what comes before: then it must be told of a hole.
func (r Resume) claims() bool { return r.Since.Known && (r.Since.Seq > 0 || r.Epoch != "") }

// plan decides after which seq a replay begins. floor is the seq at which a user joined a room: nothing up
// to it is for him.
func plan(s Standing, resume Resume, floor int64, kind Kind) (from int64, gap bool) {
	if !resume.Since.Known {
		return s.Seq, false
	}
	since := resume.Since.Seq
	switch {
	case since <= 0 && resume.Epoch == "":
		since = 0
	case resume.Epoch != s.Epoch && (resume.Epoch != "" || kind != Global):
		// A position without an epoch could be of another life. Only the global history is asked for
		// without one (since_global is a bare number), so there it is taken at its word.
		since, gap = 0, true
	case since > s.Seq:
		since, gap = 0, true // Redis came back without what this client has seen
	case max(since, floor) < s.Oldest-1:
		since, gap = 0, true
	}
	return max(since, floor, s.Oldest-1), gap
}
