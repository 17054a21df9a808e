//go:build race

package zeromq_test

const idleLimit = 30 << 10 // the race detector's stacks are larger
