package web_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/internal/testbrowser"
)

func TestPageTwoTabsChat(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	ada := testbrowser.Open(t, s.URL)
	bob := ada.Tab(s.URL)
	ada.Login("ada")
	bob.Login("bob")
	ada.WaitText("status-agent", "lobby-1")

	ada.JoinRoom("lobby")
	bob.JoinRoom("lobby")
	ada.WaitText(`[data-testid="person"][data-online="true"]`, "bob")
	ada.WaitText("system", "bob joined")
	ada.SendRoom("Hello, lobby")
	bob.WaitMessage("ada", "Hello, lobby")
	bob.SendRoom("Hello, ada")
	ada.WaitMessage("bob", "Hello, ada")

	bob.SendDirect("ada", "Only for you")
	ada.WaitUnread("direct", "bob", 1)
	ada.OpenDirect("bob")
	ada.WaitMessage("bob", "Only for you")
	ada.WaitGone("unread")
	ada.SendDirect("bob", "Thank you")
	bob.WaitMessage("ada", "Thank you")

	ada.SendGlobal("Good morning, everyone")
	bob.WaitUnread("global", "", 1)
	bob.OpenEveryone()
	bob.WaitMessage("ada", "Good morning, everyone")

	bob.OpenRoom("lobby")
	bob.Click("leave-room")
	bob.WaitText("conversation-title", "Everyone")
	ada.OpenRoom("lobby")
	ada.WaitText("system", "bob left")
	if got, want := ada.Messages(), []string{"Hello, lobby", "Hello, ada"}; !slices.Equal(got, want) {
		t.Errorf("lobby: got %q, want %q", got, want)
	}

	ada.Reload()
	ada.WaitOnline()
	ada.WaitText("conversation-title", "lobby")
	ada.WaitMessage("bob", "Hello, ada")
	ada.WaitGone("unread")
	ada.OpenDirect("bob")
	ada.WaitMessage("ada", "Thank you")
	if got, want := ada.Messages(), []string{"Only for you", "Thank you"}; !slices.Equal(got, want) {
		t.Errorf("direct after a reload: got %q, want %q", got, want)
	}
	noErrors(t, ada, bob)
}

func TestPageShowsMarkupAsText(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	ada := testbrowser.Open(t, s.URL)
	const bad = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`
	const name = `"><svg onload=window.hacked=1>`
	ada.Login(name)
	ada.JoinRoom(bad)
	ada.SendRoom(bad)
	ada.SendDirect(bad, bad)
	ada.WaitText("message-text", bad)
	ada.WaitText("me", name)
	var hacked bool
	ada.Eval(`"hacked" in window || document.querySelectorAll(".chat img, .chat script, .lists img, .lists script, svg[onload]").length > 0`, &hacked)
	if hacked {
		t.Error("text of a message became markup")
	}
	noErrors(t, ada)
}

func TestPageAsksForATokenWithoutDevEndpoint(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	s.noDev = true
	session := s.newSession("ada")
	ada := testbrowser.Open(t, s.URL)
	ada.LoginWithToken("ada", session)
	ada.WaitText("me", "ada")
	var leaked bool
	ada.Eval(`document.documentElement.outerHTML.includes("secret-") || location.href.includes("secret-") || localStorage.length > 0 || document.cookie !== ""`, &leaked)
	if leaked {
		t.Error("the session is in the document, the address, localStorage or a cookie")
	}
}

func TestPageRefusedSessionAsksAgain(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	ada := testbrowser.Open(t, s.URL)
	ada.Login("ada")
	ada.JoinRoom("lobby")
	s.with(func() {
		clear(s.sessions)
		s.toUsers(func(string) bool { return true }, envelope{"type": "Logout", "reason": "SessionRevoked"})
	})
	s.drop(4401)
	ada.WaitText("login-error", "Your session was ended by the agent.")
	ada.WaitGone("app")
	logins := len(s.sent("Login"))
	ada.Type("login-name", "ada\n")
	ada.WaitOnline()
	if got := len(s.sent("Login")); got != logins+1 {
		t.Errorf("logins after 4401: got %d, want 1: a refused session must not be retried", got-logins)
	}
	ada.OpenRoom("lobby") // joined again by itself
	noErrors(t, ada)
}

func TestPageFailedMessageCanBeSentAgain(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	ada := testbrowser.Open(t, s.URL)
	ada.Login("ada")
	s.with(func() {
		s.refuse = &envelope{"code": "RateLimited", "message": "too fast", "retry": true, "retry_after_ms": 3000}
	})
	ada.Write("Hello")
	ada.WaitText(`[data-state="failed"] [data-testid="message-error"]`, "Not sent. You are sending too fast. Try again in 3 seconds.")
	s.with(func() { s.refuse = nil })
	ada.Click("send-again")
	ada.WaitText(`[data-testid="message"][data-state="delivered"]`, "Hello")
	if got, want := ada.Messages(), []string{"Hello"}; !slices.Equal(got, want) {
		t.Errorf("messages: got %q, want %q", got, want)
	}
	sent := s.sent("GlobalMessage")
	if len(sent) != 2 || sent[0]["id"] != sent[1]["id"] {
		t.Errorf("sent %v, want the same id twice", sent)
	}
}

func TestPageReconnects(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	ada := testbrowser.Open(t, s.URL)
	ada.Login("ada")
	ada.JoinRoom("lobby")
	ada.SendRoom("one")
	s.with(func() { s.mute = true })
	ada.Write("two") // accepted by nobody
	s.waitSent("ChatRoomMessage", 2)
	s.drop(0)
	s.with(func() {
		s.mute = false
		s.publish("bob", envelope{"type": "ChatRoomMessage", "message": "meanwhile", "to": envelope{"type": "ChatRoom", "id": "lobby"}},
			envelope{"type": "ChatRoom", "id": "lobby"})
	})
	ada.WaitMessage("bob", "meanwhile")
	ada.WaitText(`[data-testid="message"][data-state="delivered"]`, "two")
	if got, want := ada.Messages(), []string{"one", "meanwhile", "two"}; !slices.Equal(got, want) {
		t.Errorf("messages: got %q, want %q", got, want)
	}
}

func TestPageReplacedElsewhereCanBeTakenBack(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	ada := testbrowser.Open(t, s.URL)
	ada.Login("ada")
	s.drop(4409)
	ada.WaitText("status-text", "You opened this chat somewhere else.")
	if n := len(s.sent("Login")); n != 1 {
		t.Errorf("%d logins, want 1: a replaced connection must not be retried", n)
	}
	ada.Click("retry")
	ada.WaitOnline()
}

func TestPageKeyboard(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	ada := testbrowser.Open(t, s.URL)
	ada.Login("ada")
	ada.JoinRoom("lobby")
	press := func(key string) {
		ada.Eval(`document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "`+key+`", altKey: true, bubbles: true })); 0`, nil)
	}
	press("ArrowUp")
	ada.WaitText("conversation-title", "Everyone")
	press("ArrowDown")
	ada.WaitText("conversation-title", "lobby")
	ada.Send("typed without the mouse") // the composer had the focus all the time
	var focused string
	ada.Eval(`document.activeElement.dataset.testid`, &focused)
	if focused != "composer-input" {
		t.Errorf("the focus is on %q, want composer-input", focused)
	}
	var unlabelled []string
	ada.Eval(`[...document.querySelectorAll("input, textarea, button")].filter((e) => !e.labels?.length && !e.ariaLabel && !e.textContent.trim()).map((e) => e.id || e.outerHTML)`, &unlabelled)
	if len(unlabelled) > 0 {
		t.Errorf("controls without a name: %v", unlabelled)
	}
	noErrors(t, ada)
}

func TestPageKeepsTheOrderOfTheRoom(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	ada := testbrowser.Open(t, s.URL)
	ada.Login("ada")
	ada.JoinRoom("lobby")
	s.with(func() { s.mute = true })
	ada.Write("second")
	mine := s.waitSent("ChatRoomMessage", 1)[0]
	s.with(func() {
		for p := range s.conns {
			p.send(envelope{"type": "Ack", "ref": mine["id"], "seq": 2})
		}
	})
	ada.WaitText(`[data-testid="message"][data-state="delivered"]`, "second")
	s.with(func() {
		s.publish(lobby("first"))
		to, _ := mine["to"].(envelope)
		s.publish("ada", mine, to)
		s.publish(lobby("third"))
	})
	ada.WaitMessage("bob", "third")
	if got, want := ada.Messages(), []string{"first", "second", "third"}; !slices.Equal(got, want) {
		t.Errorf("messages: got %q, want %q", got, want)
	}
}

// noErrors fails when a page wrote an error to its console; a blocked inline script or style would.
func noErrors(t *testing.T, pages ...*testbrowser.Page) {
	t.Helper()
	for _, p := range pages {
		if errs := p.Errors(); len(errs) > 0 {
			t.Errorf("console: %s", strings.Join(errs, "\n"))
		}
	}
}
