// Package appearance measures what an image looks like as a whole: what training notes
// of good images, and running compares images with. It judges nothing.
package appearance
