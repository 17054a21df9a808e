// Package leaktest fails a package's tests when they leave goroutines behind.
package leaktest

import (
	"go.uber.org/goleak"
)

// Main runs the tests of a package and then looks for leaked goroutines:
//
//	func TestMain(m *testing.M) { leaktest.Main(m) }
func Main(m goleak.TestingM) { goleak.VerifyTestMain(m) }
