// Command peers runs the same flows of items through the observables of this module and through other
// libraries for reactive streams, interleaved in one process, and prints what an item costs: medians of
// several rounds, and their ratios. It is a module of its own, so that nobody else needs those libraries.
package main
