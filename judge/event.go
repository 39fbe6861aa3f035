package judge

// An Event is what came of one image, for a plant to be told: package outputs does so.
type Event struct {
	// ID, where not empty, is the same where an event may be told again, by another
	// process too.
	ID        string
	ModelName string // "" where it is not known
	ModelHash string // in hexadecimal; "" where it is not known
	Finding   *Finding
	// Image, where not nil, returns the image as an encoded file. It is called while
	// the event is told, if at all.
	Image func() ([]byte, error)
}
