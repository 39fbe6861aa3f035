//go:build !unix

package main

import "os"

// peak is the most memory that a process had, in MB: not known here.
func peak(*os.ProcessState) float64 { return 0 }

// used is how many seconds of all cores this process had: not known here.
func used() float64 { return 0 }
