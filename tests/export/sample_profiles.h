// Profiles that several tests of exporters use.
#pragma once

namespace jprof {

// A Node process: every kind of frame, an inlined function, two threads, an empty stack.
inline constexpr char kNodeProfile[] = R"(
# title: node app.js (pid 4711)
# comment: 97 samples, 0 lost, 100.0% rooted
# comment: jprof -p 4711 -F 99 -d 30
# time: 1700000000000000000 30000000000
node@4711;__libc_start_call_main (/usr/lib/libc.so.6+0x2d0a);node::Start (/usr/bin/node+0x1000);Module._compile node:internal/modules/cjs/loader:1105_[j];main /srv/app.js:3_[j];render /srv/app.js:12_[j] 40
node@4711;__libc_start_call_main (/usr/lib/libc.so.6+0x2d0a);node::Start (/usr/bin/node+0x1000);Module._compile node:internal/modules/cjs/loader:1105_[j];main /srv/app.js:3_[j];render /srv/app.js:12_[j];escape /srv/node_modules/html/index.js:7_[j];StringPrototypeReplace_[b] 18
node@4711;__libc_start_call_main (/usr/lib/libc.so.6+0x2d0a);node::Start (/usr/bin/node+0x1000);Module._compile node:internal/modules/cjs/loader:1105_[j];main /srv/app.js:3_[j];JS:*hot /srv/jit.js:1:1_[p] 9
node@4711;__libc_start_call_main (/usr/lib/libc.so.6+0x2d0a);node::Start (/usr/bin/node+0x1000);v8::internal::Heap::CollectGarbage (/usr/bin/node+0x2000);mark_[i];visit_[i] 12
node@4711;__libc_start_call_main (/usr/lib/libc.so.6+0x2d0a);write (/usr/lib/libc.so.6+0x9000);entry_SYSCALL_64 ([kernel]+0x10)_[k];ksys_write ([kernel]+0x20)_[k] 8
node@4711/4712:libuv-worker;[unknown] libz.so.1+0x12 (/usr/lib/libz.so.1+0x12)_[u] 6
node@4711/4712:libuv-worker;[truncated]_[m];deflate (/usr/lib/libz.so.1+0x40) 3
node@4711 1
)";

}  // namespace jprof
