package testbrowser

import (
	"context"
	"fmt"
	"os"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Login gives a name to the log-in page and waits until the page is connected.
func (p *Page) Login(name string) {
	p.tb.Helper()
	p.Type("login-name", name+"\n")
	p.WaitOnline()
}

// LoginWithToken logs in at a server that hands out no sessions.
func (p *Page) LoginWithToken(name, session string) {
	p.tb.Helper()
	p.Type("login-name", name+"\n")
	p.Type("login-token", session+"\n")
	p.WaitOnline()
}

// WaitOnline waits until the page is connected and logged in.
func (p *Page) WaitOnline() {
	p.tb.Helper()
	p.WaitVisible(`[data-testid="status"][data-state="online"]`)
}

// WaitOffline waits until the page has noticed that it is not connected.
func (p *Page) WaitOffline() {
	p.tb.Helper()
	p.WaitVisible(`[data-testid="status"]:not([data-state="online"])`)
}

// JoinRoom joins a room, shows it, and waits until the mesh lists this user among its people.
func (p *Page) JoinRoom(room string) {
	p.tb.Helper()
	p.Type("join-room-input", room+"\n")
	p.WaitText("conversation-title", room)
	p.WaitText("person", " (you)")
}

// OpenRoom shows a room joined before, OpenDirect the conversation with a user, OpenEveryone the global one.
func (p *Page) OpenRoom(room string) { p.tb.Helper(); p.open("room", room) }

// OpenEveryone shows the global conversation.
func (p *Page) OpenEveryone() { p.tb.Helper(); p.open("global", "") }

// OpenDirect shows the conversation with a user, and begins one if need be.
func (p *Page) OpenDirect(user string) {
	p.tb.Helper()
	if p.Count(conversation("direct", user)) == 0 {
		p.Type("direct-input", user+"\n")
	}
	p.open("direct", user)
}

// Send writes text into the open conversation and waits until the mesh has stored it.
func (p *Page) Send(text string) {
	p.tb.Helper()
	p.Write(text)
	p.WaitText(`[data-testid="message"][data-state="delivered"]`, text)
}

// Write writes text into the open conversation without waiting for anything.
func (p *Page) Write(text string) {
	p.tb.Helper()
	p.Type("composer-input", text+"\n")
}

// SendRoom sends to the open room. SendDirect and SendGlobal open their conversation first.
func (p *Page) SendRoom(text string) { p.tb.Helper(); p.Send(text) }

// SendDirect sends text to a user.
func (p *Page) SendDirect(user, text string) {
	p.tb.Helper()
	p.OpenDirect(user)
	p.Send(text)
}

// SendGlobal sends text to everybody.
func (p *Page) SendGlobal(text string) {
	p.tb.Helper()
	p.OpenEveryone()
	p.Send(text)
}

// WaitMessage waits until the open conversation shows text from a user.
func (p *Page) WaitMessage(from, text string) {
	p.tb.Helper()
	p.WaitText(fmt.Sprintf(`[data-testid="message"][data-from=%q]`, from), text)
}

// WaitUnread waits until a conversation (kind global, room or direct) has n unread messages.
func (p *Page) WaitUnread(kind, id string, n int) {
	p.tb.Helper()
	p.WaitText(conversation(kind, id)+` [data-testid="unread"]`, fmt.Sprint(n))
}

// Messages gives the texts of the open conversation in the order shown.
func (p *Page) Messages() []string {
	p.tb.Helper()
	return p.Texts("message-text")
}

// Screenshot writes a PNG of the tab as a reader with that colour scheme (light or dark) and size sees it.
func (p *Page) Screenshot(path, scheme string, width, height int64) {
	p.tb.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	ctx, cancel := context.WithTimeout(p.ctx, Timeout)
	defer cancel()
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		p.tb.Fatalf("emulate %s: %v", scheme, err)
	}
	p.do("resize", chromedp.EmulateViewport(width, height))
	p.Wait("the page to stand still", `document.getAnimations().every((a) => a.effect.getTiming().iterations === Infinity)`)
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(path, png, 0o600)
	}
	if err != nil {
		p.tb.Fatalf("screenshot: %v", err)
	}
}

func (p *Page) open(kind, id string) {
	p.tb.Helper()
	p.Click(conversation(kind, id))
	p.WaitVisible(conversation(kind, id) + "[aria-current]")
}

func conversation(kind, id string) string {
	return fmt.Sprintf(`[data-testid="conversation"][data-kind=%q][data-id=%q]`, kind, id)
}
