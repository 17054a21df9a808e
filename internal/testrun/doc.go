// Package testrun runs the examples inside a test and reads what they print.
package testrun
