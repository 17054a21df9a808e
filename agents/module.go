package agents

import (
	"context"
	"fmt"
)

// Module is a part of a program that begins and ends with its agent. Setup runs when the broker and the
// sockets are open and before the first message; what it returns stops the agent. Shutdown runs when the
// agent has drained, in the reverse order of the set-ups that succeeded, with the time that is left.
type Module struct {
	Name     string
	Setup    func(context.Context, *Agent) error // may be nil
	Shutdown func(context.Context)               // may be nil
}

// Use adds a module, before Run.
func (a *Agent) Use(m Module) { a.modules = append(a.modules, m) }

// setUp runs the modules' Setup in order and remembers whose Shutdown is due.
func (a *Agent) setUp(ctx context.Context) error {
	for i, m := range a.modules {
		if m.Setup != nil {
			if err := m.Setup(ctx, a); err != nil {
				return fmt.Errorf("agents: setting up %s: %w", m.Name, err)
			}
		}
		a.ready = i + 1
	}
	return nil
}

func (a *Agent) shutDown(ctx context.Context) {
	for ; a.ready > 0; a.ready-- {
		if m := a.modules[a.ready-1]; m.Shutdown != nil {
			m.Shutdown(ctx)
		}
	}
}
