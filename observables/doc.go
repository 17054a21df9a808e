// Package observables is the reactive layer of the mesh: hot, multicast, bounded streams of typed items on
// top of rxgo.
package observables
