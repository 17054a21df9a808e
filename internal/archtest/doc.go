// Package archtest holds the rules of the house and the checks that fail when one is broken: which package
// may import which, who owns a third-party module, and how tests are written. The rules are the table in
// places.go; a package that is not in it fails until it is placed.
//
// The checks read the files of the module, not the build: files behind build tags count too. Modules within
// the module (a directory with a go.mod of its own) are not looked at.
package archtest
