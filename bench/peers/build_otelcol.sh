#!/usr/bin/env bash
# Builds the OpenTelemetry Collector of otelcol-builder.yaml with its own builder, as build/peers/otelcol/otelcol.
# Needs go; takes some minutes on two cores the first time and nothing after.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

[[ -x build/peers/otelcol/otelcol ]] && exit 0

GOBIN=$PWD/build/peers/bin go install go.opentelemetry.io/collector/cmd/builder@v0.161.0
CGO_ENABLED=0 build/peers/bin/builder --skip-strict-versioning --config bench/peers/otelcol-builder.yaml
