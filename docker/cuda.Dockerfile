# anomaly with ONNX Runtime on NVIDIA's GPUs; start it with --gpus all.
#   docker build -f docker/cuda.Dockerfile -t anomaly:cuda .
FROM golang:1.26-bookworm AS build
ARG VERSION=dev
# pip, by which anomaly gets the ONNX Runtime whose hash it knows, from whatever version of Debian this is.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=1 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /usr/bin/anomaly ./cmd/anomaly
ENV XDG_CACHE_HOME=/cache
RUN anomaly doctor --install --gpu && mkdir /data

FROM nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /cache /cache
COPY --from=build --chown=65532:65532 /data /data
COPY --from=build /usr/bin/anomaly /usr/bin/anomaly
# What is kept by default, a worker's queue and the spools of outputs, is below HOME.
ENV XDG_CACHE_HOME=/cache HOME=/data
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/usr/bin/anomaly"]
CMD ["serve", "--provider=cuda", "--listen=:8080", "--grpc-listen=:8081", "/models"]
