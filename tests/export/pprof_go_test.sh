#!/bin/bash
# The reference reader takes our pprof files: go tool pprof lists, tags, comments, subtracts.
#
#   pprof_go_test.sh WRITE_PROFILE SCRATCH_DIR
set -euo pipefail
write_profile=$1
scratch=$2
mkdir -p "$scratch"
export HOME=$scratch PPROF_TMPDIR=$scratch GOTOOLCHAIN=local GOFLAGS= GOPROXY=off
cd "$scratch"

"$write_profile" pprof a.pb.gz <<'PROFILE'
# title: node app.js (pid 4711)
# comment: 100 samples, 0 lost
# time: 1700000000000000000 30000000000
node@4711;main (/usr/lib/libc.so.6+0x1000);run (/usr/bin/node+0x10);render /srv/app.js:12_[j] 60
node@4711/4712:worker;main (/usr/lib/libc.so.6+0x1000);gc (/usr/bin/node+0x20);mark_[i] 30
node@4711;main (/usr/lib/libc.so.6+0x1000);write ([kernel]+0x30)_[k] 9
node@4711 1
PROFILE

pprof() { go tool pprof -symbolize=local "$@" 2> stderr.txt || { cat stderr.txt >&2; exit 1; }; }
expect() {  # expect FILE REGEX
  if ! grep -qE -- "$2" "$1"; then
    echo "FAIL: no line of $1 matches: $2" >&2
    cat "$1" >&2
    exit 1
  fi
}

pprof -top a.pb.gz > top.txt
expect top.txt '^Type: cpu$'
expect top.txt '^File: node$'
expect top.txt '^Duration: 30s, Total samples = 1010\.10ms'
expect top.txt '606\.06ms 60\.00% .* render$'
expect top.txt '303\.03ms 30\.00% .* mark \(inline\)$'
expect top.txt ' 30\.00%  gc$'
expect top.txt '10\.10ms +1\.00% .* \[no stack\]$'

pprof -top -sample_index=samples a.pb.gz > samples.txt
expect samples.txt '^ +60 60\.00% .* render$'

pprof -top -lines a.pb.gz > lines.txt
expect lines.txt 'render +/srv/app\.js'

pprof -tags a.pb.gz > tags.txt
expect tags.txt 'pid: Total'
expect tags.txt 'tid: Total'
expect tags.txt ' 4712'
expect tags.txt 'thread: Total'
expect tags.txt '30\.00%\): worker$'

pprof -comments a.pb.gz > comments.txt
expect comments.txt '^node app\.js \(pid 4711\)$'
expect comments.txt '^100 samples, 0 lost$'

pprof -raw a.pb.gz > raw.txt
expect raw.txt '^1: .* /usr/bin/node .*\[FN\]\[FL\]\[LN\]\[IN\]$'
expect raw.txt '\[kernel\.kallsyms\] .*\[FN\]'

pprof -top -diff_base=a.pb.gz a.pb.gz > diff.txt
expect diff.txt 'Showing nodes accounting for 0, 0% of'

# Samples that weigh differently, as where the rate was halved: what jprof alone reads of them is
# nothing to others.
"$write_profile" pprof halved.pb.gz <<'PROFILE'
# time: 1700000000000000000 1000000000
node@4711;main;render /srv/app.js:12_[j] 40
node@4711;main;gc 20
# period: 20202020
node@4711;main;render /srv/app.js:12_[j] 10
PROFILE
pprof -top halved.pb.gz > halved.txt
expect halved.txt 'Total samples = 808\.08ms'
expect halved.txt '606\.06ms 75\.00% .* render$'

# Nothing was asked for that needs a symbolizer, and nothing was complained about.
if grep -iE 'error|warn|fail|no such' stderr.txt; then exit 1; fi
echo "all passed"
