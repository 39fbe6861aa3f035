// Command testsum runs go test and ends with what is easily missed: the tests that were
// skipped, each with its reason, and go test's closing lines.
//
//	go run ./internal/testsum "go test ./..." "CGO_ENABLED=0 go test -short ./..."
//
// Each argument is one command, its environment first. They run one after the
// other up to the first that fails; a test that one of them ran is not skipped.
package main
