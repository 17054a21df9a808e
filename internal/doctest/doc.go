// Package doctest holds the documentation to the program: links lead somewhere, flags exist, and what the
// README shows is what the examples are.
package doctest
