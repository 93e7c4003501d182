// A profile as a few lines of text.
//
//   # title: node app.js (pid 4711)
//   # comment: 3 samples, 0 lost
//   # time: 1700000000000000000 30000000000
//   # generated: render = r /srv/dist/app.js:1:4711     (its system_name; before it is used)
//   # period: 20202020                (ns that each of the samples below weighs; else 10,101,010)
//   node@4711/4712:worker;main (/usr/bin/node+0x1234);render /srv/app.js:12_[j] 3
//
// A line is one stack: the process, then its frames, root first, then a blank and the number of
// samples. The process is a name, with "@pid", "/tid" and ":thread name" where they matter (1, the
// pid and the process name where not). "process 2" is two samples without a stack.
//
// A frame is a name and a suffix for its kind:
//   none native · _[k] kernel · _[j] script: "name file:line", or "name file:line,line" with the
//   one that executes · _[l] one of others, _[a] one that awaits, likewise ·
//   _[b] builtin · _[p] JIT, from a perf map · _[u] unknown · _[m] marker · _[i] native, inlined
//   into the frame before it
// A name may end in " (image+0xoffset)": the image is then mapped at 0x10000000 times its number,
// in the order of first sight, and the location's address lies in it.
//
// \n, \\ and \xHH stand for bytes, so "\x3b" is a ';' within a name. Lines that are blank are
// skipped. Samples are 1 and their period each, one period apart, in the order of the lines.
#pragma once

#include "absl/strings/string_view.h"
#include "profiler/core/profile.h"

namespace jprof {

// Ends the test program with a message if `text` is malformed.
Profile ParseProfile(absl::string_view text);

}  // namespace jprof
