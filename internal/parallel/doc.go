// Package parallel spreads calls that do not depend on each other over the cores.
package parallel
