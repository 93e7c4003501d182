#!/usr/bin/env bash
# jprof convert and diff as they are used, and other programs on what they write.
#
#   convert_tools_test.sh JPROF SCRATCH_DIR
# protoc reads OpenTelemetry's format by export/otlp.proto.
set -euo pipefail
jprof=$1
export_dir=$(cd "$(dirname "$0")/../../export" && pwd)
recordings=$(cd "$(dirname "$0")/recordings" && pwd)
mkdir -p "$2"
cd "$2"

fail() { echo "FAIL: $*" >&2; exit 1; }
expect() {  # expect FILE REGEX
  grep -qE -- "$2" "$1" || { cat "$1" >&2; fail "no line of $1 matches: $2"; }
}
status() {  # status EXPECTED COMMAND...: its stderr goes to err.txt
  local expected=$1 actual=0
  shift
  "$@" 2> err.txt || actual=$?
  [ "$actual" -eq "$expected" ] || { cat err.txt >&2; fail "exit status $actual, not $expected: $*"; }
}

printf 'app;main;work 60\napp;main;gone 20\napp;main;idle 20\n' > a.folded
printf 'app;main;work 180\napp;main;came 20\napp;main;idle 40\n' > b.folded

"$jprof" convert a.folded -o a.pb.gz
"$jprof" convert - --format folded < a.pb.gz | sort > back.folded
sort a.folded | cmp - back.folded
gzip -c a.folded | "$jprof" convert - -o a.svg
expect a.svg '<title>work \(60 samples, 60\.00%\)</title>'
status 1 "$jprof" convert /dev/null -o x.svg
expect err.txt '^jprof: error: cannot read /dev/null: it is empty$'
status 2 "$jprof" convert a.folded -o x.unknown

# A large file is drawn without being kept, which shows in how what is thin is counted: about.
awk 'BEGIN {
  for (i = 0; i < 200; ++i) pad = pad "p"
  for (i = 0; i < 41000; ++i) printf "app;main;%s;work%d;leaf%d %d\n", pad, i % 50, i, 1 + i % 7
  print "no weight"
}' > large.folded
[ "$(stat -c %s large.folded)" -ge $((8 << 20)) ] || fail "large.folded is not large"
pictured() { sed -E 's/not drawn: (about )?[0-9,]+ frames thinner/not drawn: frames thinner/' "$1"; }
about='not drawn: about 41,000 frames thinner than 0.1 px'
status 0 "$jprof" convert large.folded -o pruned.svg
expect err.txt '^jprof: warning: large.folded: folded: 1 lines without a stack or a weight$'
expect pruned.svg "$about"
cat large.folded | status 0 "$jprof" convert - -o kept.svg
expect err.txt '^jprof: warning: standard input: folded: 1 lines without a stack or a weight$'
expect kept.svg 'not drawn: 41,000 frames thinner than 0.1 px'
cmp <(pictured pruned.svg) <(pictured kept.svg)
# What is not for it: a weight of 0, a file that is not large, a file by the name of standard input.
cp large.folded zero.folded
echo 'app;main;idle 0' >> zero.folded
status 0 "$jprof" convert zero.folded -o zero.svg
cmp zero.svg kept.svg
head -c $(((8 << 20) - 1)) large.folded | sed '$d' > small.folded
status 0 "$jprof" convert small.folded -o small.svg
expect small.svg 'not drawn: [0-9,]+ frames thinner than 0.1 px'
mv large.folded ./-
"$jprof" convert - -o dash.svg < a.folded
cmp dash.svg a.svg
rm ./-

status 0 "$jprof" diff a.folded b.folded -o diff.svg
expect err.txt '60\.0 % +75\.0 % +\+15\.0 %  work$'
expect diff.svg '<title>gone \(0 samples, 0\.00%; -20\.00%\)</title>'
status 3 "$jprof" diff a.pb.gz b.folded --fail-above 14.9
expect err.txt '^jprof: error: work grew by 15\.00 points, more than the 14\.9 of --fail-above$'
status 0 "$jprof" diff a.pb.gz b.folded --fail-above 15.1
"$jprof" diff a.folded b.folded --format folded 2> err.txt > diff.folded
expect diff.folded '^app;main;work 144 180$'

"$jprof" diff a.folded b.folded -o diff.pb.gz 2> err.txt
go tool pprof -top diff.pb.gz > top.txt 2> err.txt
expect top.txt '^ +36 15\.00% .* work$'
expect top.txt '^ +-48 20\.00% .* gone$'
go tool pprof -peek 'work' diff.pb.gz > peek.txt 2> err.txt
expect peek.txt 'work$'
go tool pprof -tree diff.pb.gz > tree.txt 2> err.txt
expect tree.txt 'came$'
# Every table begins with the element that means none; every sample is there.
"$jprof" convert a.folded -o a.otlp
protoc -I "$export_dir" --decode=opentelemetry.proto.profiles.v1development.ProfilesData \
  "$export_dir/otlp.proto" < a.otlp > otlp.txt
expect otlp.txt '^ +values: 60$'
expect otlp.txt '^  string_table: "work"$'
for table in mapping location function stack; do
  grep -A1 -m1 "^  ${table}_table {" otlp.txt | tail -n 1 | grep -qx '  }' ||
    fail "the first ${table} is not zero"
done
if grep -qE '^ +[0-9]+: ' otlp.txt; then fail "a field that the schema does not know"; fi

# What is written is what was there: read back by jprof, or by the names in it.
printf 'main;gone 20\nmain;idle 20\nmain;work 60\n' > stacks.txt
"$jprof" convert a.folded -o a.speedscope.json
"$jprof" convert a.speedscope.json --format folded | sed 's/^[^;]*;//; s/^app;//' | sort > back.txt
cmp stacks.txt back.txt || { cat back.txt; fail "speedscope lost something"; }
"$jprof" convert a.folded -o a.cpuprofile
"$jprof" convert a.cpuprofile --format folded > back.txt
for name in gone idle work; do expect back.txt "main_\[j\];${name}_\[j\] "; done
"$jprof" convert a.folded -o a.firefox.json
for name in main work gone idle; do expect a.firefox.json "\"$name\""; done
expect a.firefox.json '"weight":\[(60|20),(60|20),(60|20)\]'

# perf.data
status 0 "$jprof" convert "$recordings/frame_pointers.perf.data" -o recorded.folded
[ "$(awk '{n += $NF} END {print n}' recorded.folded)" -eq 9 ] || fail "9 samples were recorded"
status 1 "$jprof" convert - -o x.svg < <(printf '2ELIFREP........')
expect err.txt 'perf.data: a machine of the other byte order wrote it'

# Beside what perf itself says of the same file, where there is perf and it may record.
cat > burn.c <<'EOF'
volatile unsigned long sum;
__attribute__((noinline)) void burn(unsigned long n) {
  for (unsigned long i = 0; i < n; ++i) sum += i * i;
}
__attribute__((noinline)) void work(void) { burn(40000000); sum++; }
int main(void) { work(); burn(40000000); return 0; }
EOF
cc -O1 -fno-omit-frame-pointer -Wl,--build-id -o burn burn.c
mains() { grep -o 'main;.*' "$1" | sort; }
for output in live.data - -z; do
  options=(-o "$output")
  [ "$output" = -z ] && options=(-z -o live.data)
  perf record -q -e cpu-clock:u -F 499 -g "${options[@]}" ./burn > stream.data 2> err.txt || { cat err.txt; break; }
  [ "$output" = - ] && mv stream.data live.data
  perf script -i live.data 2> err.txt | "$jprof" convert - --format folded > by_script.folded
  "$jprof" convert live.data --format folded > by_file.folded
  expect by_file.folded 'main;burn [0-9]+$'
  diff <(mains by_script.folded) <(mains by_file.folded) || fail "perf says something else of $output"
done

# JIT code, by the map that the process wrote, unless that is of another time than the recording.
cat > app.js <<'EOF'
function hot(n) { let sum = 0; for (let i = 0; i < n; ++i) sum = (sum * 31 + i) | 0; return sum; }
for (let i = 0; i < 300; ++i) hot(1e6);
EOF
if perf record -q -e cpu-clock:u -F 499 -g -o node.data \
    node --perf-basic-prof app.js > pid.txt 2> err.txt; then
  map=$(perf script -i node.data -F pid 2> err.txt | sort | uniq -c | sort -rn |
    awk 'NR == 1 {print "/tmp/perf-" $2 ".map"}')
  perf script -i node.data 2> err.txt | "$jprof" convert - --format folded > by_script.folded
  "$jprof" convert node.data --format folded > by_file.folded 2> err.txt
  expect by_script.folded 'hot [^;]*app\.js:1_\[j\]'
  scripts() { sed 's/ [0-9]*$//' "$1" | tr ';' '\n' | grep '_\[j\]$' | sort -u; }
  diff <(scripts by_script.folded) <(scripts by_file.folded) || fail "perf names JIT code otherwise"
  touch -d '+1 hour' "$map"
  status 0 "$jprof" convert node.data -o late.folded
  expect err.txt 'perf-[0-9]+\.map is younger than the recording$'
  touch -d '-1 hour' "$map"
  status 0 "$jprof" convert node.data -o early.folded
  expect err.txt 'perf-[0-9]+\.map is older than the process$'
  rm "$map"
fi

echo "all passed"
