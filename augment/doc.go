// Package augment turns, shifts and brightens images of good parts a little, so
// that few stand for many, in the ways that leave the set what it is.
//
// [Choose] finds out from the images which flips and turns those are: an image
// that was flipped must be as near to another one of the set as it was before.
// Where the parts lie in one pose only, a flip shows what is never seen, and a
// network that learns it no longer finds it.
package augment
