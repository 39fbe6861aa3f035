package page

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"html/template"
	"image"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/jpeg"
)

// A Suspect is an image of the training set by how suspect it is.
type Suspect struct {
	Name    string  `json:"name"`
	Score   float64 `json:"score"`
	Z       float64 `json:"z"` // robust: distance from the median in deviations
	Suspect bool    `json:"suspect"`

	Picture template.URL `json:"-"` // holds the picture itself; "" for none
}

//go:embed suspects.html
var suspectsHTML string

var suspectsTemplate = template.Must(template.New("suspects").Parse(suspectsHTML))

// Embed returns a picture as an address that holds it.
func Embed(img image.Image) (template.URL, error) {
	var jpg bytes.Buffer
	if err := jpeg.Encode(&jpg, img, 85); err != nil {
		return "", err
	}
	return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(jpg.Bytes())), nil
}

// WriteSuspects writes the page of images by rank, of which the first are shown. z is
// where suspicion begins.
func WriteSuspects(path string, z float64, images []Suspect, shown int) error {
	page := struct {
		Images, Suspects int
		Z                float64
		Rows             []Suspect
	}{Images: len(images), Z: z, Rows: images[:shown]}
	for _, s := range images {
		if s.Suspect {
			page.Suspects++
		}
	}
	var html bytes.Buffer
	if err := suspectsTemplate.Execute(&html, page); err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, html.Bytes())
}
