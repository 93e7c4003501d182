#!/usr/bin/env bash
# A folder includes only what stands to its left in
#   core, process, symbolize, helpers, unwind, (capture, stop, corefile, why, trap), pipeline, cli;
# top sees core and export, import core and process,
# and symbolize, export and web nothing but core. Also: no file speaks of a developer's machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
failed=0

# allow FOLDER PREFIX...: includes of the project in FOLDER begin with one of the prefixes.
allow() {
  local folder=$1 prefixes
  shift
  prefixes=$(IFS='|'; echo "$*")
  local wrong
  wrong=$(grep -rnE '^#include "(profiler|symbolize|helpers|export|import|web|tests|bench)/' \
            --include='*.h' --include='*.cc' --include='*.c' "$folder" |
          grep -vE "#include \"($prefixes)/" || true)
  if [ -n "$wrong" ]; then
    printf 'layering: %s may include %s only:\n%s\n' "$folder" "$*" "$wrong" >&2
    failed=1
  fi
}

core=profiler/core
allow profiler/core "$core"
allow profiler/process "$core" profiler/process
allow symbolize "$core" symbolize
allow export "$core" export web
allow import "$core" profiler/process import
allow web "$core" web
allow helpers "$core" profiler/process symbolize helpers
allow profiler/unwind "$core" profiler/process symbolize helpers profiler/unwind
allow profiler/capture "$core" profiler/process symbolize helpers profiler/unwind profiler/capture
allow profiler/pipeline "$core" profiler/process symbolize helpers profiler/unwind profiler/capture profiler/pipeline
allow profiler/stop "$core" profiler/process symbolize helpers profiler/unwind profiler/stop
allow profiler/corefile "$core" profiler/process symbolize profiler/stop profiler/corefile
allow profiler/why "$core" profiler/process profiler/stop profiler/why
allow profiler/trap "$core" profiler/process symbolize helpers profiler/capture profiler/stop profiler/trap
allow profiler/top "$core" export profiler/top
allow profiler/cli "$core" profiler/process symbolize helpers profiler/unwind profiler/capture profiler/pipeline \
  profiler/stop profiler/corefile profiler/why profiler/trap profiler/top export import web profiler/cli

# Includes are written from the root, so that the above sees them.
relative=$(grep -rnE '^#include "[^"/]+"|^#include "\.\.' --include='*.h' --include='*.cc' --include='*.c' \
             profiler symbolize helpers export import web |
           grep -vE '"(jprof_runtimes|runtime_helpers)\.h"' || true)
if [ -n "$relative" ]; then
  printf 'layering: an include is not written from the root:\n%s\n' "$relative" >&2
  failed=1
fi

# The brackets keep this line from finding itself.
strange=$(git -c safe.directory='*' grep -nIE '/[w]ork/|/[h]ome/[a-z]|/[t]mp/lab' -- . || true)
if [ -n "$strange" ]; then
  printf 'layering: a file names a path of one machine:\n%s\n' "$strange" >&2
  failed=1
fi
exit "$failed"
