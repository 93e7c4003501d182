#include "profiler/why/nested.h"

#include <algorithm>
#include <span>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace jprof {
namespace {

// Of libuv, libevent, libev, redis and nginx.
constexpr absl::string_view kLoops[] = {"uv_run", "event_base_loop", "ev_run", "aeProcessEvents",
                                        "ngx_process_events_and_timers"};
// What they wait in, and the C library's functions below.
constexpr absl::string_view kWaits[] = {
    "uv__io_poll",  "epoll_dispatch", "epoll_poll",      "aeApiPoll", "ngx_epoll_process_events",
    "epoll_wait",   "epoll_pwait",    "epoll_pwait2",    "syscall",   "__epoll_wait",
    "__epoll_pwait"};

bool IsOneOf(absl::string_view name, std::span<const absl::string_view> names) {
  return std::find(names.begin(), names.end(), name.substr(0, name.find('('))) != names.end();
}

bool HasNative(const std::vector<FrameFacts>& frames, absl::string_view part) {
  return std::any_of(frames.begin(), frames.end(), [part](const FrameFacts& frame) {
    return frame.kind == FrameKind::kNative && absl::StrContains(frame.name, part);
  });
}

}  // namespace

bool IsCut(const std::vector<FrameFacts>& frames) {
  return frames.empty() || std::any_of(frames.begin(), frames.end(), [](const FrameFacts& frame) {
           return frame.kind == FrameKind::kMarker && frame.name == "[truncated]";
         });
}

bool IsEventLoop(const std::vector<FrameFacts>& frames) {
  auto is_loop = [](const FrameFacts& frame) { return IsOneOf(frame.name, kLoops); };
  if (IsCut(frames) || std::count_if(frames.begin(), frames.end(), is_loop) != 1) return false;
  const auto loop = std::find_if(frames.begin(), frames.end(), is_loop);
  return std::all_of(frames.begin(), loop,
                     [](const FrameFacts& frame) { return IsOneOf(frame.name, kWaits); }) &&
         std::all_of(loop, frames.end(),
                     [](const FrameFacts& frame) { return frame.kind == FrameKind::kNative; });
}

bool RunsChild(const std::vector<FrameFacts>& frames) {
  return HasNative(frames, "node::SyncProcessRunner::");
}

bool IsHeldByInspector(const std::vector<FrameFacts>& frames) {
  return HasNative(frames, "node::inspector::MainThreadInterface::WaitForFrontendEvent");
}

}  // namespace jprof
