// Package rx measures what an item costs on its way through the observables, and what a message costs on the
// way of the inbound flow. The program beside it, peers, runs the same through other libraries and compares.
package rx
