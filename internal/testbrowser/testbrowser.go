// Package testbrowser drives the chat page in a real Chromium, for tests.
//
//	ada := testbrowser.Open(t, server.URL)
//	bob := ada.Tab(server.URL)
//	ada.Login("ada")
//	bob.Login("bob")
//	ada.JoinRoom("lobby")
//	bob.JoinRoom("lobby")
//	ada.SendRoom("Hello")
//	bob.WaitMessage("ada", "Hello")
//
// Each test has a browser of its own, with a profile of its own, which ends with the test. Tabs of one
// browser share nothing but the process: sessions live in sessionStorage, which belongs to a tab.
//
// A helper that does not find what it waits for within Timeout fails the test and says what the page showed
// and what it wrote to the console. A test that wants a clean console checks Page.Errors at its end.
package testbrowser

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Timeout bounds every wait of a Page. It is long because machines that run tests are busy.
const Timeout = 30 * time.Second

// Browser is one Chromium process.
type Browser struct {
	tb  testing.TB
	ctx context.Context //nolint:containedctx // chromedp names a browser by its context
}

// Open starts a browser and opens url in it. The browser ends with the test.
func Open(tb testing.TB, url string) *Page {
	tb.Helper()
	return Start(tb).Open(url)
}

// Start runs a browser until the test ends. A machine without Chromium fails the test.
func Start(tb testing.TB) *Browser {
	tb.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		tb.Fatal("chromium is missing; install it with: apt-get install -y chromium")
	}
	ctx, end := context.WithCancel(context.Background())
	ctx, stop := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(tb.TempDir()),
		chromedp.NoSandbox, // the sandbox needs what containers withhold; the pages are ours
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true),
		chromedp.WindowSize(1280, 800),
	)...)
	b := &Browser{tb: tb}
	var closeTab context.CancelFunc
	b.ctx, closeTab = chromedp.NewContext(ctx, chromedp.WithLogf(discard), chromedp.WithErrorf(discard))
	tb.Cleanup(func() {
		quit, cancel := context.WithTimeout(b.ctx, Timeout)
		defer cancel()
		_ = chromedp.Cancel(quit) // a browser that does not end in peace is killed by stop
		closeTab()
		stop()
		end()
	})
	if err := chromedp.Do(b.ctx); err != nil {
		tb.Fatalf("chromium does not start: %v", err)
	}
	return b
}

// Open opens url in a new tab.
func (b *Browser) Open(url string) *Page {
	b.tb.Helper()
	ctx, closeTab := chromedp.NewContext(b.ctx)
	b.tb.Cleanup(closeTab)
	p := &Page{tb: b.tb, browser: b, ctx: ctx}
	p.watch()
	p.do("open "+url, chromedp.Navigate(url))
	return p
}

// discard drops what chromedp says about protocol events it does not know: each Chromium has its own.
func discard(string, ...any) {}
