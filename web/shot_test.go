package web_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/agentmesh/agentmesh/internal/testbrowser"
)

// TestPageLooks writes screenshots of the page, filled with what people say, to AGENTMESH_SCREENSHOTS (a
// temporary directory when unset) and checks that nothing overflows at any size.
func TestPageLooks(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	dir := os.Getenv("AGENTMESH_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	ada := testbrowser.Open(t, s.URL)
	ada.WaitVisible("login-name")
	shoot(t, ada, dir, "login")
	grace, linus := ada.Tab(s.URL), ada.Tab(s.URL)
	s.with(func() {
		room := envelope{"type": "ChatRoom", "id": "fireside"}
		for _, m := range [][3]string{
			{"grace", "2026-11-21T19:02:11.000Z", "The new arena is up on staging. Try the east gate, it has the long sight line."},
			{"linus", "2026-11-21T19:04:40.000Z", "Spawned inside a wall twice, otherwise lovely."},
			{"linus", "2026-11-21T19:05:02.000Z", "Second time I fell through to the old map."},
			{"margaret-hamilton", "2026-11-21T19:20:00.000Z", "Known: the collision mesh loads after the players. Fixed in tonight's build.\n\nSteps to check:\n1. join from two devices\n2. leave with one\n3. the other keeps its seat"},
		} {
			s.publish(m[0], envelope{"type": "ChatRoomMessage", "message": m[2], "time": m[1], "to": room}, room)
		}
		s.members["fireside"] = map[string]bool{"margaret-hamilton": true}
	})
	for name, p := range map[string]*testbrowser.Page{"ada": ada, "grace": grace, "linus": linus} {
		p.Login(name)
		p.JoinRoom("fireside")
	}
	grace.SendRoom("Morning! Build 412 is live. Who plays a round before stand-up?")
	ada.SendRoom("Me. Two rounds if the east gate holds.")
	linus.SendRoom("In. https://example.org/a/very/long/link/that/does/not/break/anywhere/at/all/and/still/has/to/fit/into/a/telephone")
	grace.SendDirect("ada", "Could you look at the lag numbers after?")
	linus.SendGlobal("Server restart at noon, five minutes.")
	ada.JoinRoom("game-night")
	ada.WaitUnread("direct", "grace", 1)
	shoot(t, ada, dir, "empty-room")
	ada.OpenRoom("fireside")
	s.with(func() {
		s.refuse = &envelope{"code": "RateLimited", "message": "too fast", "retry": true, "retry_after_ms": 2000}
	})
	ada.Write("Sure, right after the round.")
	ada.WaitVisible("message-error")
	ada.WaitText("conversation-subtitle", "3 online")
	shoot(t, ada, dir, "room")
	shootPhone(t, ada, dir, "phone")
	ada.Click("menu")
	ada.Wait("the drawer", `document.querySelector("#sidebar").getBoundingClientRect().left === 0`)
	shootPhone(t, ada, dir, "phone-drawer")
	ada.Screenshot(filepath.Join(dir, "back.png"), "light", 1280, 800)
	s.Listener.Close()
	s.drop(0)
	ada.WaitVisible(`[data-testid="status"][data-state="waiting"]`)
	shoot(t, ada, dir, "offline")
	noOverflow(t, ada)
}

func shoot(t *testing.T, p *testbrowser.Page, dir, name string) {
	t.Helper()
	for _, scheme := range []string{"dark", "light"} {
		p.Screenshot(filepath.Join(dir, name+"-"+scheme+".png"), scheme, 1280, 800)
		noOverflow(t, p)
	}
}

func shootPhone(t *testing.T, p *testbrowser.Page, dir, name string) {
	t.Helper()
	p.Screenshot(filepath.Join(dir, name+"-dark.png"), "dark", 390, 780)
	noOverflow(t, p)
}

func noOverflow(t *testing.T, p *testbrowser.Page) {
	t.Helper()
	var wide []string
	p.Eval(`[...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && !e.closest(".sr, svg, .sidebar") && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.className || e.tagName)`, &wide)
	if len(wide) > 0 {
		t.Errorf("wider than the window: %v", wide)
	}
}
