# anomaly with provider go: one static binary, nothing else.
#   docker build -f docker/go.Dockerfile -t anomaly:go .
FROM golang:1.26-bookworm AS build
ARG VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /anomaly ./cmd/anomaly \
    && mkdir /data && mkdir -m 1777 /empty

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chown=65532:65532 /empty /tmp
COPY --from=build --chown=65532:65532 /data /data
COPY --from=build /anomaly /usr/bin/anomaly
# What is kept by default, a worker's queue and the spools of outputs, is below HOME.
ENV HOME=/data
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/usr/bin/anomaly"]
CMD ["serve", "--listen=:8080", "--grpc-listen=:8081", "/models"]
