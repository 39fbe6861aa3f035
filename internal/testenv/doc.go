// Package testenv finds what tests need outside the module: shared data, the
// Python virtual environment of `make setup`. Each function skips the test with
// the reason where the thing is absent. Only tests import it.
package testenv
