#!/usr/bin/env bash
# Builds the OpenTelemetry Collector of otelcol-builder.yaml, with its own builder and Go modules, as
# build/peers/otelcol/otelcol. Needs go; takes some minutes on two cores the first time and nothing after.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly VERSION=v0.161.0
readonly OUT=$PWD/build/peers/otelcol
[[ -x $OUT/otelcol ]] && exit 0

GOBIN=$PWD/build/peers/bin go install "go.opentelemetry.io/collector/cmd/builder@$VERSION"
# The builder only writes the sources: its own `go mod tidy` insists on modules that only tests of dependencies name.
build/peers/bin/builder --skip-get-modules --skip-compilation --config bench/peers/otelcol-builder.yaml
cd "$OUT"
go mod tidy -e
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o otelcol .
