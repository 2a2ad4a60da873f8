# Stages to build and check in a container; the runtime image is package/Dockerfile.
#   docker build --target test .
#   docker build --target binary --output bin .
ARG GO_IMAGE=golang:1.26

FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS builder
WORKDIR /src
# Modules first: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download
COPY . .

FROM builder AS build
# No defaults: they would win over the platform that was asked for. scripts/version fills in the rest.
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG COMMIT
RUN GOOS=${TARGETOS} ARCH=${TARGETARCH} OUT=/out/capi-vip-allocator scripts/build

FROM builder AS validate
RUN apt-get update && apt-get install -y --no-install-recommends shellcheck && rm -rf /var/lib/apt/lists/*
RUN scripts/validate

FROM builder AS test
RUN scripts/test

FROM scratch AS binary
COPY --from=build /out/capi-vip-allocator /
