package testbrowser

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// Page is one tab. Its methods fail the test when the page does not do what they say; they are for the
// test's own goroutine.
type Page struct {
	tb      testing.TB
	browser *Browser
	ctx     context.Context //nolint:containedctx // chromedp names a tab by its context

	mu     sync.Mutex // guards errors
	errors []string
}

// Tab opens url in another tab of the same browser.
func (p *Page) Tab(url string) *Page {
	p.tb.Helper()
	return p.browser.Open(url)
}

// Context is the chromedp context of the tab, for what Page has no method for.
func (p *Page) Context() context.Context { return p.ctx }

// Reload loads the page again, as the user would: sessionStorage stays.
func (p *Page) Reload() {
	p.tb.Helper()
	p.do("reload", chromedp.Reload())
}

// Eval evaluates a JavaScript expression, awaits it if it is a promise, and decodes its value into out
// (nil: dropped).
func (p *Page) Eval(expression string, out any) {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Timeout)
	defer cancel()
	raw, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](expression, chromedp.EvalAwaitPromise))
	if err == nil && out != nil {
		err = json.Unmarshal(raw, out)
	}
	if err != nil {
		p.tb.Fatalf("evaluate %s: %v", expression, err)
	}
}

// Wait waits until the JavaScript expression is true.
func (p *Page) Wait(what, expression string) {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Timeout)
	defer cancel()
	// The page looks by itself, in short steps: hidden tabs get no animation frames, and not every
	// condition is a change of the document.
	script := fmt.Sprintf(`(async () => { for (;;) { if (%s) return true; await new Promise((r) => setTimeout(r, 15)); } })()`, expression)
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script, chromedp.EvalAwaitPromise)); err != nil {
		p.tb.Fatalf("waiting for %s: %v\nthe page shows:\n%s\nits console: %v", what, err, p.text(), p.Errors())
	}
}

// WaitText waits until an element that matches the target holds text. The target is a data-testid or, with
// any of `#.[ >:` in it, a CSS selector.
func (p *Page) WaitText(target, text string) {
	p.tb.Helper()
	p.Wait(fmt.Sprintf("%q in %s", text, target), fmt.Sprintf(
		`[...document.querySelectorAll(%s)].some((e) => e.checkVisibility() && e.textContent.includes(%s))`, quote(selector(target)), quote(text)))
}

// WaitGone waits until no visible element matches the target.
func (p *Page) WaitGone(target string) {
	p.tb.Helper()
	p.Wait("no "+target, fmt.Sprintf(`![...document.querySelectorAll(%s)].some((e) => e.checkVisibility())`, quote(selector(target))))
}

// WaitVisible waits until an element that matches the target is visible.
func (p *Page) WaitVisible(target string) {
	p.tb.Helper()
	p.WaitText(target, "")
}

// Count gives the number of elements that match the target.
func (p *Page) Count(target string) int {
	p.tb.Helper()
	var n int
	p.Eval(fmt.Sprintf(`document.querySelectorAll(%s).length`, quote(selector(target))), &n)
	return n
}

// Texts gives the text of every element that matches the target, in document order.
func (p *Page) Texts(target string) []string {
	p.tb.Helper()
	var texts []string
	p.Eval(fmt.Sprintf(`[...document.querySelectorAll(%s)].map((e) => e.textContent)`, quote(selector(target))), &texts)
	return texts
}

// Click clicks the first element that matches the target, with the mouse.
func (p *Page) Click(target string) {
	p.tb.Helper()
	p.WaitVisible(target)
	p.do("click "+target, chromedp.Click(chromedp.CSS(selector(target))))
}

// Type empties the field that matches the target and types text into it, key by key. A "\n" at its end is
// the Enter key.
func (p *Page) Type(target, text string) {
	p.tb.Helper()
	p.WaitVisible(target)
	p.Eval(fmt.Sprintf(`document.querySelector(%s).value = ""`, quote(selector(target))), nil)
	text, enter := strings.CutSuffix(text, "\n")
	p.do("type into "+target, chromedp.SendKeys(chromedp.CSS(selector(target)), text))
	if enter {
		p.Press("Enter", "\r")
	}
}

// Press presses a key in the focused element. Its text, if it has one, reaches the element only when no
// listener of keydown prevents it, as with a real keyboard.
func (p *Page) Press(key, text string) {
	p.tb.Helper()
	down := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: key, Code: key, Text: text}
	if key == "Enter" {
		down.WindowsVirtualKeyCode = 13
	}
	up := down
	up.Type, up.Text = input.DispatchKeyEventTypeKeyUp, ""
	ctx, cancel := context.WithTimeout(p.ctx, Timeout)
	defer cancel()
	for _, event := range []input.DispatchKeyEventParams{down, up} {
		if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, event); err != nil {
			p.tb.Fatalf("press %s: %v", key, err)
		}
	}
}

// Errors gives what the page has written to the console as errors so far, uncaught exceptions and blocked
// resources included.
func (p *Page) Errors() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.errors...)
}

// watch collects console errors until the tab is closed.
func (p *Page) watch() {
	messages := chromedp.Console(p.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleException {
				p.mu.Lock()
				p.errors = append(p.errors, m.Text+" "+m.URL)
				p.mu.Unlock()
			}
		}
	}()
	ctx := p.ctx
	p.tb.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		<-done
	})
}

// text is what a person would read on the page now, for failure messages.
func (p *Page) text() string {
	ctx, cancel := context.WithTimeout(p.ctx, Timeout)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

func (p *Page) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Timeout)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.tb.Fatalf("%s: %v", what, err)
	}
}

// selector makes a data-testid a CSS selector.
func selector(target string) string {
	if strings.ContainsAny(target, "#.[ >:") {
		return target
	}
	return fmt.Sprintf("[data-testid=%q]", target)
}

// quote makes s a JavaScript string; JSON is one.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always can be
	}
	return string(b)
}
