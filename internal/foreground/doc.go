// Package foreground tells the part from the background that it lies on, in images
// of the colour of one background, and grows masks. What is done with it is its
// callers': package corrupt puts defects there, package runtime looks there.
package foreground
