package serve

import (
	"context"
	"errors"
	"fmt"
	"image"
	"net/http"
	"time"

	"github.com/anomaly-go/anomaly/feedback"
	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/runtime"
	"google.golang.org/grpc/codes"
)

// Errors of this package wrap one of these, or of package runtime.
var (
	ErrInput    = errors.New("serve: input")    // a request, or an option, that cannot be used
	ErrModel    = errors.New("serve: model")    // there is no such model, or version of it
	ErrState    = errors.New("serve: state")    // the model is not in a state for what was asked
	ErrBusy     = errors.New("serve: busy")     // too many requests
	ErrIdentity = errors.New("serve: identity") // no token, or none that is known
	ErrScope    = errors.New("serve: scope")    // the token's scopes, or where the request comes from, do not allow it
	errMethod   = errors.New("serve: method")   // of HTTP
	errEncoding = errors.New("serve: encoding") // of a body
	errSlow     = errors.New("serve: too slow") // a client
)

// A busy error says when to come again.
type busy struct {
	why   string
	after time.Duration
}

func (b *busy) Error() string {
	return fmt.Sprintf("%v: %s, come again in %v", ErrBusy, b.why, b.after)
}
func (b *busy) Unwrap() error { return ErrBusy }

// statusClientGone is what the log has for clients that did not wait: nobody reads it.
const statusClientGone = 499

// failures are the answers to errors, the first that fits; others are the server's
// own fault.
var failures = []struct {
	err  error
	http int
	grpc codes.Code
}{
	{ErrIdentity, http.StatusUnauthorized, codes.Unauthenticated},
	{ErrScope, http.StatusForbidden, codes.PermissionDenied},
	{ErrBusy, http.StatusTooManyRequests, codes.ResourceExhausted},
	{errSlow, http.StatusRequestTimeout, codes.DeadlineExceeded},
	{imageio.ErrTooLarge, http.StatusRequestEntityTooLarge, codes.InvalidArgument},
	{image.ErrFormat, http.StatusUnsupportedMediaType, codes.InvalidArgument},
	{errEncoding, http.StatusUnsupportedMediaType, codes.InvalidArgument},
	{errMethod, http.StatusMethodNotAllowed, codes.Unimplemented},
	{ErrModel, http.StatusNotFound, codes.NotFound},
	{ErrState, http.StatusConflict, codes.FailedPrecondition},
	{ErrInput, http.StatusBadRequest, codes.InvalidArgument},
	{feedback.ErrInput, http.StatusBadRequest, codes.InvalidArgument},
	{feedback.ErrNone, http.StatusNotFound, codes.NotFound},
	{feedback.ErrFull, http.StatusInsufficientStorage, codes.ResourceExhausted},
	{runtime.ErrInput, http.StatusBadRequest, codes.InvalidArgument},
	{runtime.ErrModel, http.StatusUnprocessableEntity, codes.FailedPrecondition},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, codes.DeadlineExceeded},
	{context.Canceled, statusClientGone, codes.Canceled},
}

// answerTo returns how an error is answered over HTTP and gRPC.
func answerTo(err error) (int, codes.Code) {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return http.StatusRequestEntityTooLarge, codes.InvalidArgument
	}
	for _, f := range failures {
		if errors.Is(err, f.err) {
			return f.http, f.grpc
		}
	}
	return http.StatusInternalServerError, codes.Internal
}
