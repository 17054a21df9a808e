package interop_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// python is a process with peers in it: libzmq sockets or agents.
type python struct {
	t     testing.TB
	p     *process
	mu    sync.Mutex
	peers map[string]*remote
}

// happened is a line of such a process.
type happened struct {
	As    string
	Bound *string
	Died  string

	Frames               []string // in hex
	Name, Topic, Payload *string
	Event                string
	Value                int
	Keys                 []string
}

// remote is one peer in it. The peer "" is the process itself.
type remote struct {
	*python
	name   string
	events chan happened
	bound  string
}

// libzmq starts a process for libzmq sockets.
func libzmq(t testing.TB) *python { return startPython(t, nil, zmqPython, "peer.py") }

// vpa starts a process for agents of Very Powerful Agents.
func vpa(t testing.TB) *python {
	t.Helper()
	interpreter, err := vpaPython()
	if err != nil {
		t.Fatal(err)
	}
	var env []string
	if checkout := os.Getenv("AGENTMESH_VPA"); checkout != "" {
		env = []string{"PYTHONPATH=" + checkout}
	}
	return startPython(t, env, interpreter, "vpa.py")
}

func startPython(t testing.TB, env []string, interpreter, script string) *python {
	t.Helper()
	p := &python{t: t, p: start(t, env, interpreter, filepath.Join("testdata", script)), peers: map[string]*remote{}}
	p.peer("")
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.read()
	}()
	t.Cleanup(func() { // before the process's own
		p.p.kill()
		<-done
	})
	return p
}

func (p *python) peer(name string) *remote {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.peers[name] == nil {
		p.peers[name] = &remote{python: p, name: name, events: make(chan happened, 1<<14)}
	}
	return p.peers[name]
}

// read gives each peer what happened to it, until the process ends.
func (p *python) read() {
	for line := range p.p.lines {
		var h happened
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			p.t.Errorf("a peer said %q", line)
			continue
		}
		if h.Died != "" {
			p.t.Errorf("an agent's thread died: %s", h.Died)
			continue
		}
		p.peer(h.As).events <- h
	}
}

// command is a line to such a process; see the head of its script.
type command map[string]any

func (p *python) do(c command) {
	p.t.Helper()
	line, err := json.Marshal(c)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.p.stdin.Write(append(line, '\n')); err != nil {
		p.t.Fatalf("%v\n%s", err, p.p.logs.tail(3000))
	}
}

// open makes a peer called name.
func (p *python) open(name string, c command) *remote {
	p.t.Helper()
	r := p.peer(name)
	c["as"] = name
	if c["do"] == nil {
		c["do"] = "open"
	}
	p.do(c)
	r.bound = *r.await("that it is there", func(h happened) bool { return h.Bound != nil }).Bound
	return r
}

// ask asks the process itself.
func (p *python) ask(c command) happened {
	p.t.Helper()
	p.do(c)
	return p.peer("").await("an answer", func(happened) bool { return true })
}

// await returns the first event that is wanted; the ones before it are dropped.
func (r *remote) await(what string, wanted func(happened) bool) happened {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case h := <-r.events:
			if wanted(h) {
				return h
			}
		case <-timeout:
			r.t.Fatalf("%s: no %s within %v", r.name, what, patience)
		}
	}
}

// send sends raw frames.
func (r *remote) send(frames ...string) {
	r.t.Helper()
	r.do(command{"do": "send", "as": r.name, "frames": inHex(frames)})
}

// next returns the raw frames of the next message.
func (r *remote) next() []string {
	r.t.Helper()
	h := r.await("message", func(h happened) bool { return h.Frames != nil })
	frames := make([]string, len(h.Frames))
	for i, f := range h.Frames {
		b, err := hex.DecodeString(f)
		if err != nil {
			r.t.Fatal(err)
		}
		frames[i] = string(b)
	}
	return frames
}

func (r *remote) close() { r.do(command{"do": "close", "as": r.name}) }

func inHex(frames []string) []string {
	coded := make([]string, len(frames))
	for i, f := range frames {
		coded[i] = hex.EncodeToString([]byte(f))
	}
	return coded
}
