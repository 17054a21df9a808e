// Package leaktest fails a package's tests when they leave goroutines behind.
package leaktest

import (
	"go.uber.org/goleak"
)

// Main runs the tests of a package and then looks for leaked goroutines:
//
//	func TestMain(m *testing.M) { leaktest.Main(m) }
//
// A pool of go-redis that could not connect sees only after a second of sleep that it has been closed; that
// goroutine is the driver's and is not waited for.
func Main(m goleak.TestingM) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
