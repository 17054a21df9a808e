//go:build !race

package zeromq_test

const idleLimit = 12 << 10
