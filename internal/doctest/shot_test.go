//go:build shot

package doctest_test

import (
	"bufio"
	"os/exec"
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/internal/testbrowser"
)

// TestShot takes the README's picture of the page:
//
//	go test -tags shot -run TestShot ./internal/doctest
func TestShot(t *testing.T) {
	t.Parallel()
	serve := exec.Command(program(t), "serve", "--dev", "--name", "lobby-1",
		"--zmq", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0", "--embedded-addr", "127.0.0.1:0")
	out, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Process.Kill()
		_ = serve.Wait()
	})
	ready, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, url, _ := strings.Cut(ready, "http=")
	url, _, _ = strings.Cut(url, " ")

	ann := testbrowser.Open(t, url)
	bob := ann.Tab(url)
	ann.Login("ann")
	bob.Login("bob")
	bob.JoinRoom("game-night")
	for _, p := range []*testbrowser.Page{ann, bob} {
		p.JoinRoom("fireside")
	}
	bob.SendRoom("The new arena is up. Try the east gate, it has the long sight line.")
	ann.SendRoom("Two rounds before dinner?")
	bob.SendRoom("In. Loser brings the marshmallows.")
	ann.SendRoom("Deal. See you at seven.")
	bob.SendDirect("ann", "Bring your brother, we are one short.")
	ann.WaitUnread("direct", "bob", 1)
	ann.OpenRoom("fireside")
	ann.WaitText("conversation-subtitle", "2 online")
	ann.Screenshot("../../docs/page.png", "light", 1000, 560)
}
