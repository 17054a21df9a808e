package archtest

import "strings"

// Place is where packages stand in the house.
type Place struct {
	// Dir is the directory of one package, below the module's root; "x/*" is each package right
	// below x, on its own; "x/..." is x and all below it, which may import one another.
	Dir string

	// Floor says what it may import: every package of a lower floor, and none of its own.
	Floor int

	// Alone means that it imports no package of the module in spite of its floor.
	Alone bool

	// For lists who may import it, by Dir; nil means every higher floor.
	For []string

	// Owns lists the third-party modules it may import.
	Owns []string
}

// forTests is the floor of packages made for tests. They may import every package of the module; what is not
// made for tests imports none of them, except in its _test.go files.
const forTests = 100

// House is where the packages of this module stand.
//
// What docs/architecture.md draws, this table enforces: data flows up, nothing calls back, and one package
// alone knows how each foreign library behaves.
var House = []Place{
	{Dir: "agents/message", Floor: 0, Owns: []string{"github.com/go-json-experiment/json"}},
	{Dir: "agents/zeromq/curve", Floor: 0, Owns: []string{"golang.org/x/crypto"}},
	{Dir: "internal/redisx", Floor: 0, Owns: []string{"github.com/redis/go-redis", "github.com/alicebob/miniredis"}},
	{Dir: "internal/telemetry", Floor: 0, For: []string{"agents", "cmd/..."},
		Owns: []string{"github.com/prometheus/client_golang", "go.opentelemetry.io/otel"}},
	{Dir: "web", Floor: 0, For: []string{"agents", "cmd/..."}}, // the embedded page, no code

	{Dir: "observables", Floor: 1, Alone: true, Owns: []string{"github.com/reactivex/rxgo"}},

	{Dir: "agents/zeromq", Floor: 2, Owns: []string{"github.com/go-zeromq/zmq4"}},
	{Dir: "agents/websocket", Floor: 2, Owns: []string{"github.com/gorilla/websocket"}},
	{Dir: "router", Floor: 2, Owns: []string{"github.com/redis/go-redis"}},
	{Dir: "middleware", Floor: 2, Owns: []string{"golang.org/x/time", "github.com/santhosh-tekuri/jsonschema"}},
	{Dir: "middleware/session", Floor: 2, Owns: []string{"github.com/redis/go-redis"}},
	{Dir: "jobs", Floor: 2, Owns: []string{"github.com/redis/go-redis", "github.com/robfig/cron"}},

	{Dir: "agents", Floor: 3, Owns: []string{"golang.org/x/sync"}},

	{Dir: "cmd/...", Floor: 4, Owns: []string{
		"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/knadh/koanf",
		"github.com/charmbracelet", "charm.land", "github.com/schollz/progressbar",
	}},
	{Dir: "examples/*", Floor: 4},

	{Dir: "internal/archtest", Floor: forTests},
	{Dir: "internal/doctest", Floor: forTests},
	{Dir: "internal/interop", Floor: forTests, Owns: []string{"github.com/go-zeromq/zmq4"}},
	{Dir: "internal/leaktest", Floor: forTests, Owns: []string{"go.uber.org/goleak"}},
	{Dir: "internal/testbrowser", Floor: forTests, Owns: []string{"github.com/chromedp"}},
	{Dir: "internal/testrun", Floor: forTests},
	{Dir: "internal/testredis", Floor: forTests, Owns: []string{"github.com/redis/go-redis", "github.com/Shopify/toxiproxy"}},
	{Dir: "internal/bench/...", Floor: forTests, Owns: []string{"golang.org/x/sync", "github.com/go-zeromq/zmq4", "github.com/gorilla/websocket", "github.com/redis/go-redis"}},
}

func (p Place) holds(dir string) bool {
	if root, all := strings.CutSuffix(p.Dir, "/..."); all {
		return dir == root || strings.HasPrefix(dir, root+"/")
	}
	if root, each := strings.CutSuffix(p.Dir, "/*"); each {
		name, below := strings.CutPrefix(dir, root+"/")
		return below && name != "" && !strings.Contains(name, "/")
	}
	return dir == p.Dir
}

// together tells whether packages of p may import one another.
func (p Place) together() bool { return strings.HasSuffix(p.Dir, "/...") }

func (p Place) owns(path string) bool {
	for _, module := range p.Owns {
		if path == module || strings.HasPrefix(path, module+"/") {
			return true
		}
	}
	return false
}

func placeOf(places []Place, dir string) (Place, bool) {
	for _, p := range places {
		if p.holds(dir) {
			return p, true
		}
	}
	return Place{}, false
}
