#!/usr/bin/env bash
# Gets the node binaries of the given versions, unless they are there.
set -euo pipefail
cd "$(dirname "$0")/../.."
for version; do
  tools/fetch-node "$version"
done
